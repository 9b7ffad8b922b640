//! A line of the access log as text for people: what `tracing-subscriber` writes of any other line, as a test holds.

use std::fmt::{Debug, Write as _};

use gateway_call::CallRecord;

use super::members::{self, Members, Name};
use crate::line::timestamp;

const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const ITALIC: &str = "\x1b[3m";
const PLAIN: &str = "\x1b[0m";

pub(super) fn put(line: &mut String, record: &CallRecord<'_>, has_colours: bool) {
    let mut text = Text { line, has_colours };
    text.paint(DIM, timestamp::put_now);
    text.line.push(' ');
    text.paint(GREEN, |line| line.push_str(" INFO"));
    text.line.push(' ');
    text.paint(DIM, |line| line.push_str("access"));
    text.paint(DIM, |line| line.push(':'));
    text.line.push_str(" call");
    members::put(record, &mut text);
    text.line.push('\n');
}

struct Text<'a> {
    line: &'a mut String,
    has_colours: bool,
}

impl Text<'_> {
    /// Puts something in a colour, if there are colours.
    fn paint(&mut self, colour: &str, put: impl FnOnce(&mut String)) {
        if !self.has_colours {
            return put(self.line);
        }
        self.line.push_str(colour);
        put(self.line);
        self.line.push_str(PLAIN);
    }

    fn name(&mut self, name: Name) {
        self.line.push(' ');
        self.paint(ITALIC, |line| line.push_str(name.plain));
        self.paint(DIM, |line| line.push('='));
    }

    fn shown(&mut self, name: Name, value: Option<impl Debug>) {
        let Some(value) = value else { return };
        self.name(name);
        // A string takes whatever is written to it.
        let _ = write!(self.line, "{value:?}");
    }
}

impl Members for Text<'_> {
    fn text<'a>(&mut self, name: Name, value: impl Into<Option<&'a str>>) {
        self.shown(name, value.into());
    }

    fn plain(&mut self, name: Name, value: Option<impl FnOnce(&mut String)>) {
        let Some(put) = value else { return };
        self.name(name);
        put(self.line);
    }

    fn number(&mut self, name: Name, value: impl Into<Option<u64>>) {
        self.shown(name, value.into());
    }

    fn float(&mut self, name: Name, value: impl Into<Option<f64>>) {
        self.shown(name, value.into());
    }

    fn flag(&mut self, name: Name, value: impl Into<Option<bool>>) {
        self.shown(name, value.into());
    }
}
