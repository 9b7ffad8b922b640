//! Places in a report.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gateway_keystore::{UsageGroup, UsageGrouping};
use jiff::Timestamp;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::error::Invalid;

/// Behind which row a part of a report begins. Opaque to whoever holds one, and good for questions that tell the same apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageCursor(UsageGroup);

/// How it is written, as JSON in hexadecimal digits, which need no escaping in a URL whatever the names are.
type Written = (Option<i64>, Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>);

impl UsageCursor {
    /// What it looks like.
    pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9a-f]{2})+$" })
    }

    /// The group, if it is one of such a grouping.
    pub(super) fn group_of(&self, grouping: UsageGrouping) -> Result<UsageGroup, Invalid> {
        let UsageGroup { start, key, model, provider } = &self.0;
        let has = (start.is_some(), key.is_some(), model.is_some(), provider.is_some());
        let wanted = (grouping.span.is_some(), grouping.key, grouping.model, grouping.provider);
        if has == wanted { Ok(self.0.clone()) } else { Err(not_a_cursor()) }
    }
}

impl From<UsageGroup> for UsageCursor {
    fn from(group: UsageGroup) -> Self {
        Self(group)
    }
}

fn not_a_cursor() -> Invalid {
    Invalid::value("cursor", "expected the `next_cursor` of an earlier page with the same `group_by`")
}

impl fmt::Display for UsageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UsageGroup { start, key, model, provider } = self.0.clone();
        let written: Written = (start.map(Timestamp::as_second), key, model, provider);
        // Texts and a number can always be written.
        let text = serde_json::to_string(&written).map_err(|_| fmt::Error)?;
        text.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for UsageCursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let bytes: Option<Vec<_>> =
                pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
            let bytes = bytes.filter(|_| rest.is_empty())?;
            let (start, key, model, provider): Written = serde_json::from_slice(&bytes).ok()?;
            let start = start.map(Timestamp::from_second).transpose().ok()?;
            // No name is stored with it, and not every store can be asked for it.
            let is_sound = [&key, &model, &provider].into_iter().flatten().all(|name| !name.contains('\0'));
            is_sound.then_some(Self(UsageGroup { start, key, model, provider }))
        };
        read().ok_or_else(not_a_cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written() {
        let group = UsageGroup {
            start: Timestamp::from_second(1_795_356_000).ok(),
            key: Some("ключ & \u{1b}\"co\"".into()),
            model: None,
            provider: Some("".into()),
        };
        let text = UsageCursor(group.clone()).to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        assert_eq!(text.parse(), Ok(UsageCursor(group)));
        for text in ["", "0", "zz", "5b5d", "é", "+1", "5b6e756c6c2c225c7530303030222c6e756c6c2c6e756c6c5d"] {
            assert_eq!(text.parse::<UsageCursor>().unwrap_err().param(), Some("cursor"), "{text}");
        }
    }
}
