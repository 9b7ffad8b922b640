//! A line of the access log as JSON, put together in its place.

use gateway_call::CallRecord;

use super::members::{self, Members, Name};
use crate::line::{json, timestamp};

pub(super) fn put(line: &mut String, record: &CallRecord<'_>) {
    line.push_str(r#"{"timestamp":""#);
    timestamp::put_now(line);
    line.push_str(r#"","level":"INFO","message":"call""#);
    members::put(record, &mut Json(line));
    line.push_str(r#","target":"access"}"#);
    line.push('\n');
}

struct Json<'a>(&'a mut String);

impl Members for Json<'_> {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "each name is a constant of a known length where it is put: 320 instructions a line less"
    )]
    fn text<'a>(&mut self, name: Name, value: impl Into<Option<&'a str>>) {
        let Some(value) = value.into() else { return };
        self.0.push_str(name.json_text);
        json::put_rest_of_text(self.0, value);
    }

    fn plain(&mut self, name: Name, value: Option<impl FnOnce(&mut String)>) {
        let Some(put) = value else { return };
        self.0.push_str(name.json_text);
        put(self.0);
        self.0.push('"');
    }

    fn number(&mut self, name: Name, value: impl Into<Option<u64>>) {
        let Some(value) = value.into() else { return };
        self.0.push_str(name.json);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn float(&mut self, name: Name, value: impl Into<Option<f64>>) {
        let Some(value) = value.into() else { return };
        self.0.push_str(name.json);
        self.0.push_str(zmij::Buffer::new().format_finite(value));
    }

    fn flag(&mut self, name: Name, value: impl Into<Option<bool>>) {
        let Some(value) = value.into() else { return };
        self.0.push_str(name.json);
        self.0.push_str(if value { "true" } else { "false" });
    }
}
