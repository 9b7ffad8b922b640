//! Texts that read like a number or a truth value.
//!
//! The configuration is made of texts, and a section that wants a number reads one from `2` and from `'2'` alike. Types matter
//! only where an entry of a file becomes JSON.

/// What a text without quotes is to JSON, if it is written the one way in which JSON's numbers are written back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Literal {
    Flag(bool),
    Natural(u64),
    Negative(i64),
    Real(f64),
}

impl Literal {
    /// `None` of everything else, such as `010`, `0x1F`, `1.50` and `.inf`: these are kept as texts, so that nothing of them is
    /// lost.
    pub(crate) fn of(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"true" => return Some(Self::Flag(true)),
            b"false" => return Some(Self::Flag(false)),
            [b'-' | b'0'..=b'9', ..] => {}
            _ => return None,
        }
        let natural = text.parse().ok().filter(|number: &u64| number.to_string() == text).map(Self::Natural);
        let negative = || text.parse().ok().filter(|number: &i64| number.to_string() == text).map(Self::Negative);
        let real = || text.parse().ok().filter(|number| is_written_so(*number, text)).map(Self::Real);
        natural.or_else(negative).or_else(real)
    }
}

/// Whether a number with a fraction is this text. One with an exponent stays a text, since writers differ about those.
fn is_written_so(number: f64, text: &str) -> bool {
    text.contains('.') && !text.contains('e') && format!("{number:?}") == text
}
