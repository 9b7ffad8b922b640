//! The words of answers, and what counts as a token.
//!
//! A token here is a run of up to twelve characters that ends with the blanks behind it: about a word of English, a few
//! of them in a line of Chinese, and never a part of a character.

/// The longest token, in characters.
const LONGEST_TOKEN: usize = 12;

const WORDS: [&str; 16] = [
    "alpha ",
    "bravo ",
    "charlie ",
    "delta ",
    "echo ",
    "foxtrot ",
    "golf ",
    "hotel ",
    "india ",
    "juliett ",
    "kilo ",
    "lima ",
    "mike ",
    "november ",
    "oscar ",
    "papa ",
];

/// `count` words, always the same.
pub(crate) fn generate(count: usize) -> String {
    WORDS.iter().copied().cycle().take(count).collect()
}

/// The length in bytes of the first token of `text`; 0 only if it is empty.
pub(crate) fn token_len(text: &str) -> usize {
    let mut blanks = false;
    for (index, (at, character)) in text.char_indices().enumerate() {
        let is_blank = character.is_whitespace();
        if index == LONGEST_TOKEN || (blanks && !is_blank) {
            return at;
        }
        blanks = is_blank;
    }
    text.len()
}

/// How many tokens `text` has.
pub(crate) fn count_tokens(text: &str) -> usize {
    let (mut rest, mut count) = (text, 0);
    while !rest.is_empty() {
        rest = &rest[token_len(rest)..];
        count += 1;
    }
    count
}

/// The first `most` tokens of `text`, and how many there are of them.
pub(crate) fn first_tokens(text: &str, most: usize) -> (&str, usize) {
    let (mut end, mut count) = (0, 0);
    while count < most && end < text.len() {
        end += token_len(&text[end..]);
        count += 1;
    }
    (&text[..end], count)
}

/// A text in pieces of whole tokens, about equally many in each.
#[derive(Debug)]
pub(crate) struct Pieces {
    text: String,
    at: usize,
    tokens: usize,
    count: usize,
    taken: usize,
}

impl Pieces {
    /// `text`, which has `tokens` tokens, in so many pieces; at most one a token, which is the default too.
    pub(crate) fn new(text: String, tokens: usize, pieces: Option<usize>) -> Self {
        Self { text, at: 0, tokens, count: pieces.unwrap_or(tokens).min(tokens), taken: 0 }
    }

    /// Whether no piece is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken == self.count
    }

    pub(crate) fn next_piece(&mut self) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let share = |taken: usize| taken * self.tokens / self.count;
        let (piece, _) = first_tokens(&self.text[self.at..], share(self.taken + 1) - share(self.taken));
        self.taken += 1;
        self.at += piece.len();
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, count: Option<usize>) -> Vec<String> {
        let mut pieces = Pieces::new(text.to_owned(), count_tokens(text), count);
        std::iter::from_fn(|| pieces.next_piece().map(str::to_owned)).collect()
    }

    #[test]
    fn pieces_are_the_text() {
        for text in ["", " ", "one", "one two  three\n", "  leading", "模型模型模型模型模型模型模型 ok", "👍🏽🎉 é"]
        {
            for count in [None, Some(1), Some(2), Some(3), Some(100)] {
                let pieces = pieces(text, count);
                assert_eq!(pieces.concat(), text);
                assert!(pieces.iter().all(|piece| !piece.is_empty()));
                assert!(pieces.len() <= count.unwrap_or(usize::MAX));
            }
        }
        assert_eq!(pieces("one two  three", None), ["one ", "two  ", "three"]);
        assert_eq!(pieces(&generate(64), Some(64)).len(), 64);
        assert_eq!(pieces(&generate(50), Some(7)).len(), 7);
    }

    #[test]
    fn first_tokens_cut_between_tokens() {
        assert_eq!(first_tokens("one two three", 2), ("one two ", 2));
        assert_eq!(first_tokens("one", 2), ("one", 1));
        assert_eq!(first_tokens("one", 0), ("", 0));
    }
}
