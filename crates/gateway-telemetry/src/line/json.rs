//! Text as JSON has it.
//!
//! Hardly any text of a line holds something to escape. So it is looked for in eight bytes at once, and text without it is copied whole.

use std::fmt::Write as _;

/// Puts text between quotation marks.
pub(crate) fn put_text(line: &mut String, text: &str) {
    line.push('"');
    put_rest_of_text(line, text);
}

/// Puts text behind the quotation mark that it begins with.
pub(crate) fn put_rest_of_text(line: &mut String, text: &str) {
    escape(line, text);
    line.push('"');
}

/// Escapes what has to be (RFC 8259, section 7), by the short form where there is one. Line feeds are among it, so a line is one line.
pub(crate) fn escape(line: &mut String, text: &str) {
    if is_to_escape(text.as_bytes()) {
        escape_each(line, text);
    } else {
        line.push_str(text);
    }
}

#[cold]
fn escape_each(line: &mut String, text: &str) {
    let mut rest = text;
    // What is found is ASCII, which is no part of another character.
    while let Some(at) = rest.bytes().position(is_byte_to_escape)
        && let Some((plain, found)) = rest.split_at_checked(at)
    {
        line.push_str(plain);
        rest = escape_first(line, found);
    }
    line.push_str(rest);
}

/// Escapes the first byte of a text, and returns those behind it.
fn escape_first<'a>(line: &mut String, text: &'a str) -> &'a str {
    let (found, behind) = text.split_at_checked(1).unwrap_or_default();
    match found {
        "\"" => line.push_str("\\\""),
        "\\" => line.push_str("\\\\"),
        "\n" => line.push_str("\\n"),
        "\r" => line.push_str("\\r"),
        "\t" => line.push_str("\\t"),
        "\u{8}" => line.push_str("\\b"),
        "\u{c}" => line.push_str("\\f"),
        control => control.bytes().for_each(|byte| {
            // A string takes whatever is written to it.
            let _ = write!(line, "\\u{byte:04x}");
        }),
    }
    behind
}

/// Whether any byte has to be escaped.
fn is_to_escape(bytes: &[u8]) -> bool {
    // Of what is no multiple of a word, the last bytes are looked at with some before them once more, instead of each alone.
    if let Some(last) = bytes.last_chunk() {
        let (words, _) = bytes.as_chunks();
        return words.iter().chain([last]).any(|word| is_word_to_escape(u64::from_le_bytes(*word)));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
        return is_word_to_escape(first << 32 | last);
    }
    bytes.iter().any(|byte| is_byte_to_escape(*byte))
}

/// Whether any byte of a word has to be escaped. To subtract from a byte that is too small borrows from its highest bit, unless that was
/// set before ("Bit Twiddling Hacks", S. E. Anderson, "Determine if a word has a byte less than n"). Which byte it is, this does not
/// tell: the borrow reaches the next ones.
const fn is_word_to_escape(word: u64) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    const fn less(word: u64, than: u8) -> u64 {
        word.wrapping_sub(each(than)) & !word
    }
    let found = less(word, b' ') | less(word ^ each(b'"'), 1) | less(word ^ each(b'\\'), 1);
    found & each(0x80) != 0
}

const fn is_byte_to_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_as_serde_json_writes_it(
            text in any::<String>(),
            dirty in "[\\x00-\\x7f\u{2028}\u{2029}]*",
            mostly_plain in "[a-zA-Z0-9 !#\\]ä\x7f]{0,20}[\"\\\\\n\\x00]?[a-zA-Z0-9 !#\\]ä\x7f]{0,20}",
        ) {
            for text in [text, dirty, mostly_plain] {
                let mut line = String::new();
                put_text(&mut line, &text);
                prop_assert_eq!(line, serde_json::to_string(&text).unwrap());
            }
        }
    }
}
