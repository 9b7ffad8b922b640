use proptest::prelude::*;

use super::pieces::{MAX_PIECE, MIN_PIECE};
use super::*;

#[test]
fn counts_are_those_of_openai() {
    // Two independent implementations of `o200k_base` agree on these; the longest word, the sum and the birthday are the
    // examples of OpenAI's cookbook, "How to count tokens with tiktoken".
    for (text, expected) in [
        ("", 0),
        ("hello world", 2),
        ("Hello, world!", 4),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("I'll we've DON'T", 3),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("12345678901234567890", 7),
        ("fn main() {\n    println!(\"{}\", 1 + 1);\n}\n", 14),
        ("SELECT * FROM users WHERE id = 42;", 10),
        ("{\"role\":\"user\",\"content\":\"hi\"}", 9),
        ("お誕生日おめでとう", 8),
        ("你好，世界", 3),
        ("今天天气很好，我们去公园散步吧。", 12),
        ("Привет, как дела?", 6),
        ("😀🎉👩\u{200d}👩\u{200d}👧", 11),
        ("   \n\n\t  x", 3),
        ("<|endoftext|>", 7),
    ] {
        assert_eq!(count(text), expected, "{text}");
    }
    for (unit, times, expected) in [(" ", 100, 2), ("\n", 40, 3), ("a", 100, 13), ("é", 20, 20)] {
        assert_eq!(count(&unit.repeat(times)), expected, "{times} times {unit:?}");
    }
}

#[test]
fn long_texts_of_one_letter_are_counted_as_short_ones_are() {
    // Eight letters are one token, and a piece is a multiple of that, so the cuts add nothing.
    assert_eq!(count(&"a".repeat(1_000_000)), 125_000);
    assert_eq!(count(&"好".repeat(100_000)), 100_000);
}

/// Texts of every kind of character that is treated apart, spaces more often than others.
fn text(longest: usize) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => Just(" ".to_owned()),
        4 => "[a-zA-Z]{1,12}",
        1 => "[ \t\r\n\u{a0}\u{3000}]{1,4}",
        1 => "[0-9]{1,5}",
        1 => "[!-/:-@\\[-`{-~]{1,4}",
        1 => "[é模型Жя한ไ]{1,8}",
        1 => "[😀🎉👩\u{200d}\u{301}]{1,4}",
        1 => "('s|'LL|\r\n|//|<\\|endoftext\\|>)",
        1 => ("[a-z好]", 1_usize..2000).prop_map(|(unit, times)| unit.repeat(times)),
    ];
    prop::collection::vec(part, 0..longest).prop_map(|parts| parts.concat())
}

/// What the cuts of a text may add, in tokens.
fn slack(text: &str) -> u64 {
    2 * (text.len() / MIN_PIECE) as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_text_is_cut_into_few_short_pieces(text in text(200)) {
        let pieces: Vec<_> = pieces(&text).collect();
        prop_assert_eq!(pieces.concat(), &*text);
        prop_assert!(pieces.iter().all(|piece| (1..=MAX_PIECE).contains(&piece.len())));
        prop_assert!(pieces.len() <= text.len() / MIN_PIECE + 1);
    }

    #[test]
    fn cuts_change_little(text in text(200)) {
        let whole = vocabulary().count(&text) as u64;
        prop_assert!(count(&text).abs_diff(whole) <= slack(&text), "{} for {whole}", count(&text));
    }

    #[test]
    fn cuts_between_words_change_nothing(words in prop::collection::vec("[a-zA-Zя好0-9,.;({'é\u{301}😀-]{1,20}", 0..200)) {
        let text = words.join(" ");
        prop_assert_eq!(count(&text), vocabulary().count(&text) as u64);
    }

    #[test]
    fn a_text_has_no_more_tokens_than_its_halves(first in text(40), second in text(40)) {
        let both = format!("{first}{second}");
        let apart = count(&first) + count(&second);
        prop_assert!(count(&both) <= apart + 2 + slack(&both), "{} for {apart}", count(&both));
    }
}
