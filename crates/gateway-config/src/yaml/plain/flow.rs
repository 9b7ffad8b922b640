//! Collections in brackets and braces.

use super::scalar::Context;
use super::{Reader, is_blank};
use crate::tree::{Entry, Node, Value};

impl Reader<'_> {
    /// Reads a value within lines that are all indented further than `margin`, but for the first.
    pub(super) fn flow(&mut self, margin: usize, depth: usize) -> Option<Node> {
        let place = match self.peek()? {
            b'[' | b'{' => self.place(),
            _ => return Some(self.scalar(Context::Flow)?.into_node()),
        };
        self.count()?;
        let depth = depth.checked_sub(1)?;
        let value = if self.peek() == Some(b'{') {
            Value::Mapping(self.until(b'}', margin, |reader| reader.flow_entry(margin, depth))?)
        } else {
            Value::Sequence(self.until(b']', margin, |reader| reader.flow(margin, depth))?)
        };
        Some(Node::new(value, place))
    }

    /// Reads what stands between the bracket that is next and the one that ends it, with commas between and perhaps at the end.
    fn until<T>(&mut self, end: u8, margin: usize, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut parts = Vec::new();
        self.at += 1;
        loop {
            self.skip_within(margin)?;
            if self.take(end) {
                return Some(parts);
            }
            parts.push(read(self)?);
            self.skip_within(margin)?;
            if self.take(end) {
                return Some(parts);
            }
            self.take(b',').then_some(())?;
        }
    }

    fn flow_entry(&mut self, margin: usize, depth: usize) -> Option<Entry> {
        let key = self.scalar(Context::Flow)?;
        let key_end = self.at;
        self.skip_spaces();
        // As in JSON, what follows a quoted key and its colon needs no blank before it.
        let is_like_json = !key.is_plain && self.at == key_end;
        self.take(b':').then_some(())?;
        (is_like_json || is_blank(self.peek())).then_some(())?;
        let (text, place) = key.into_key()?;
        self.skip_within(margin)?;
        Some(Entry::new(text, place, self.flow(margin, depth)?))
    }

    fn skip_within(&mut self, margin: usize) -> Option<()> {
        let line = self.line;
        self.skip()?;
        (self.line == line || self.indent() > margin).then_some(())
    }
}
