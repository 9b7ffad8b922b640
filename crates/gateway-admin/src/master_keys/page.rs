//! Places in the list of all keys: first those of the store, then those of the file, each by identifier.

use std::fmt;
use std::str::FromStr;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::error::Invalid;

use super::view::KeyView;

/// Behind which key a page begins. Opaque to whoever holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// This one of the store.
    Store(String),
    /// The last one of the store.
    StoreEnd,
    /// This one of the file.
    File(String),
}

/// A part of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<KeyView>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<Cursor>,
}

impl Cursor {
    /// What it looks like.
    pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(e|[sf]([0-9a-fA-F]{2})*)$" })
    }
}

impl fmt::Display for Cursor {
    /// In hexadecimal digits, which need no escaping in a URL whatever the identifier is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = match self {
            Self::Store(id) => ('s', id.as_str()),
            Self::StoreEnd => ('e', ""),
            Self::File(id) => ('f', id.as_str()),
        };
        write!(f, "{kind}")?;
        id.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || match text.split_at_checked(1)? {
            ("s", id) => Some(Self::Store(from_hexadecimal(id)?)),
            ("e", "") => Some(Self::StoreEnd),
            ("f", id) => Some(Self::File(from_hexadecimal(id)?)),
            _ => None,
        };
        read().ok_or_else(|| Invalid::value("cursor", "expected the `next_cursor` of an earlier page"))
    }
}

fn from_hexadecimal(digits: &str) -> Option<String> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes: Option<_> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    let text = rest.is_empty().then(|| String::from_utf8(bytes?).ok())??;
    // Nothing is called that, and not every store can be asked for it.
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written() {
        for cursor in [Cursor::Store("a.b".to_owned()), Cursor::StoreEnd, Cursor::File("ключ & co".to_owned())] {
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
            assert_eq!(text.parse(), Ok(cursor));
        }
        for text in ["", "x", "e00", "s0", "szz", "sff", "s00", "é", "s+1"] {
            assert_eq!(text.parse::<Cursor>().unwrap_err().param(), Some("cursor"), "{text}");
        }
    }
}
