//! Text that has several parts, of which callers choose some.
//!
//! What separates parts, here or in a line of text, and everything invisible is percent-encoded within one
//! (RFC 3986, section 2.1). Letters of any script stay readable, and decoding gives back what it was. So no form of a line has
//! anything to escape in it.

use std::fmt::Write as _;

use gateway_call::AttemptRecord;

/// `provider/model:outcome:status`, separated by commas. No provider has a slash in its name; the model may be a caller's text.
pub(super) fn put_attempts(line: &mut String, attempts: &[AttemptRecord]) {
    for (index, attempt) in attempts.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        put(line, &attempt.provider);
        line.push('/');
        put(line, attempt.upstream_model.as_str());
        line.push(':');
        line.push_str(attempt.outcome.name());
        if let Some(status) = attempt.status {
            line.push(':');
            line.push_str(itoa::Buffer::new().format(status));
        }
    }
}

/// `name=value`, separated by commas: the text is a caller's.
pub(super) fn put_tags(line: &mut String, tags: &[(String, String)]) {
    for (index, (name, value)) in tags.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        put(line, name);
        line.push('=');
        put(line, value);
    }
}

/// Puts one part.
pub(super) fn put(line: &mut String, part: &str) {
    if part.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        line.push_str(part);
    } else {
        part.chars().for_each(|character| put_character(line, character));
    }
}

/// Which bytes are characters that stand for themselves.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%' | b',' | b':' | b'=' | b'\\');
        byte += 1;
    }
    plain
};

#[cold]
fn put_character(line: &mut String, character: char) {
    let mut bytes = [0; 4];
    let text = character.encode_utf8(&mut bytes);
    let is_plain = match text.as_bytes() {
        [byte] => PLAIN[usize::from(*byte)],
        // What the standard library shows as it is, is visible and no blank.
        _ => character.escape_debug().len() == 1,
    };
    if is_plain {
        line.push(character);
    } else {
        for byte in text.bytes() {
            // A string takes whatever is written to it.
            let _ = write!(line, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_is_one_and_is_read_back(text in any::<String>(), ascii in "[\\x00-\\x7f]*") {
            for text in [text, ascii] {
                let mut part = String::new();
                put(&mut part, &text);
                prop_assert!(!part.contains([' ', '"', ',', ':', '=', '\\', '\n', '\u{2028}', '\u{202e}']), "{}", part);
                prop_assert!(!part.contains(char::is_control), "{:?}", part);
                prop_assert_eq!(percent_decode_str(&part).decode_utf8().unwrap(), text);
            }
        }
    }
}
