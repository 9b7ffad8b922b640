//! Parameters of a header's value: `; name=value; name="value"` (RFC 2045 section 5.1).

use std::ops::Range;

/// One parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a [u8],
    /// Where the value lies in the text, without quotes and with its escapes.
    pub(super) value: Range<usize>,
}

/// The parameters in `text`, from behind the value's first semicolon. `None` if any of it is not as it should be.
pub(super) fn parse_parameters(text: &[u8]) -> Option<Vec<Parameter<'_>>> {
    let mut parameters = Vec::new();
    let mut at = skip_blanks(text, 0);
    while at < text.len() {
        let equals = token_end(text, at);
        if equals == at || text.get(equals) != Some(&b'=') {
            return None;
        }
        let name = &text[at..equals];
        let (value, behind) = parse_value(text, equals + 1)?;
        parameters.push(Parameter { name, value });
        at = skip_blanks(text, behind);
        match text.get(at) {
            None => break,
            Some(b';') => at = skip_blanks(text, at + 1),
            Some(_) => return None,
        }
    }
    Some(parameters)
}

/// The value at `at`, and what comes behind it.
fn parse_value(text: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    if text.get(at) != Some(&b'"') {
        let end = token_end(text, at);
        return (end > at).then_some((at..end, end));
    }
    let mut end = at + 1;
    loop {
        match text.get(end)? {
            b'"' => return Some((at + 1..end, end + 1)),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// End of the token at `at` (RFC 2045 section 5.1: no blanks, no control characters, no `tspecials`).
fn token_end(text: &[u8], at: usize) -> usize {
    let belongs = |byte: &&u8| **byte > b' ' && **byte != 0x7F && !b"()<>@,;:\\\"/[]?=".contains(byte);
    at + text[at..].iter().take_while(belongs).count()
}
