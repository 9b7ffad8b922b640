//! An event as one line of JSON.
//!
//! `tracing-subscriber` writes the same lines, in more than twice the instructions: its formatter drives `serde_json` through an adapter
//! that checks again, every few bytes, whether they are UTF-8. Order, names and spelling are those of the other, as a test holds, so
//! that whoever reads the log need not know which one has written it. Lines of calls are none of these: see `access_log`.
//!
//! Spans are left out, as they always were: a line tells of the event alone, and fields of spans belong to whoever opened them.

use std::fmt::{self, Write as _};

use serde_json::Number;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::line::{self, json, timestamp};

/// Writes `{"timestamp":…,"level":…,` the event's fields in their order, `"target":…}`. A field that has the name of one of these stands
/// beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        line::with_empty(|line| {
            put_event(line, event);
            writer.write_str(line)
        })
    }
}

fn put_event(line: &mut String, event: &Event<'_>) {
    let metadata = event.metadata();
    line.push_str(r#"{"timestamp":""#);
    timestamp::put_now(line);
    line.push_str(r#"","level":""#);
    line.push_str(metadata.level().as_str());
    line.push('"');
    event.record(&mut Fields(line));
    put_name(line, "target");
    json::put_text(line, metadata.target());
    line.push_str("}\n");
}

/// Puts fields at the end of a line. What [`Visit`] shows as text unless told otherwise stays text: errors, and numbers of 128 bits,
/// which most readers of JSON could not hold.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl fmt::Display) {
        put_name(self.0, field.name());
        // A string takes whatever is written to it.
        let _ = write!(self.0, "{value}");
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match Number::from_f64(value) {
            Some(number) => self.put(field, number),
            // JSON has neither infinities nor NaN (RFC 8259, section 6).
            None => self.put(field, "null"),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        put_name(self.0, field.name());
        json::put_text(self.0, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        put_name(self.0, field.name());
        self.0.push('"');
        // A value that cannot show itself to its end leaves what it has shown. The line is whole all the same.
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push('"');
    }
}

/// Escapes what is written to it.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        json::escape(self.0, text);
        Ok(())
    }
}

/// Names that a macro was given as a literal may hold anything.
fn put_name(line: &mut String, name: &str) {
    line.push(',');
    json::put_text(line, name);
    line.push(':');
}

#[cfg(test)]
mod tests;
