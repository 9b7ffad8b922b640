//! An event as one line of JSON.
//!
//! `tracing-subscriber` writes the same lines. Its formatter drives `serde_json` through an adapter that checks again, every few bytes,
//! whether they are UTF-8, so that the access log took 36,357 instructions of a plain call, of 38,000 that all observers took.
//! With this one it takes 16,513 (`just bench --only access`). Order, names and spelling are those of the other, as a test holds,
//! so that whoever reads the log need not know which one has written it.
//!
//! Spans are left out, as they always were: a line tells of the event alone, and fields of spans belong to whoever opened them.

use std::cell::Cell;
use std::fmt::{self, Write as _};

use serde_json::Number;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Bytes that most lines fit into.
const USUAL: usize = 1_024;

/// Bytes that a thread keeps for its next line. A line beyond that is rare, and its memory is given back.
const MOST_KEPT: usize = 16 * 1_024;

thread_local! {
    /// Taken while a line is written, so that a value that logs while it is shown finds an empty one, and not the line that it is in.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

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
        with_empty(|line| {
            put_event(line, event)?;
            writer.write_str(line)
        })
    }
}

/// Hands out the thread's memory for a line.
fn with_empty<R>(write: impl FnOnce(&mut String) -> R) -> R {
    // A thread that is at its end has none any more.
    let mut line = LINE.try_with(Cell::take).unwrap_or_default();
    line.reserve(USUAL);
    let result = write(&mut line);
    if line.capacity() <= MOST_KEPT {
        line.clear();
        let _ = LINE.try_with(|kept| kept.set(line));
    }
    result
}

fn put_event(line: &mut String, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    line.push_str(r#"{"timestamp":""#);
    SystemTime.format_time(&mut Writer::new(line))?;
    line.push_str(r#"","level":""#);
    line.push_str(metadata.level().as_str());
    line.push('"');
    event.record(&mut Fields(line));
    put_name(line, "target");
    put_text(line, metadata.target());
    line.push_str("}\n");
    Ok(())
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
        put_text(self.0, value);
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
        escape(self.0, text);
        Ok(())
    }
}

/// Names that a macro was given as a literal may hold anything.
fn put_name(line: &mut String, name: &str) {
    line.push(',');
    put_text(line, name);
    line.push(':');
}

fn put_text(line: &mut String, text: &str) {
    line.push('"');
    escape(line, text);
    line.push('"');
}

/// Escapes what has to be (RFC 8259, section 7), by the short form where there is one. Line feeds are among it, so a line is one line.
fn escape(line: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // What is found is ASCII, which is no part of another character.
        let (plain, found) = rest.split_at(at);
        let (found, behind) = found.split_at(1);
        line.push_str(plain);
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
        rest = behind;
    }
    line.push_str(rest);
}

#[cfg(test)]
mod tests;
