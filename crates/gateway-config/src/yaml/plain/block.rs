//! Mappings and lists by their indentation.
//!
//! An indentation is a column, from 1; a document is in something with the indentation 0, and each thing is indented further
//! than what it is in. Each function here ends at what is next at the beginning of a line, and whoever called it looks how far
//! that is indented: a line that is indented further than it may be goes on with the scalar before it, or is wrong.

use std::cmp::Ordering;

use super::scalar::{Context, Scalar};
use super::{Reader, is_blank};
use crate::tree::{Entry, Node, Place, Value};

impl Reader<'_> {
    /// Reads what is next, in something that is indented by `margin`.
    pub(super) fn block(&mut self, margin: usize, depth: usize) -> Option<Node> {
        let indent = self.indent();
        match self.peek()? {
            b'-' if self.is_at_dash() => self.block_sequence(indent, depth),
            b'[' | b'{' => self.collection_in_line(margin, depth),
            _ => {
                let scalar = self.scalar(Context::Block)?;
                if self.take_colon(&scalar) {
                    return self.block_mapping(scalar, indent, depth);
                }
                self.end_line()?;
                Some(scalar.into_node())
            }
        }
    }

    /// Reads a mapping from the end of its first key.
    fn block_mapping(&mut self, first: Scalar, indent: usize, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        self.count()?;
        let (place, mut entries, mut key) = (first.place.clone(), Vec::new(), first);
        loop {
            let (key_text, key_place) = key.into_key()?;
            let node = self.value_of_key(&key_place, indent, depth)?;
            entries.push(Entry::new(key_text, key_place, node));
            match self.indent().cmp(&indent) {
                Ordering::Less => return Some(Node::new(Value::Mapping(entries), place)),
                Ordering::Greater => return None,
                Ordering::Equal => key = self.scalar(Context::Block)?,
            }
            self.take_colon(&key).then_some(())?;
        }
    }

    /// Reads what stands after the colon of a key: nothing, if it is indented no further than the key.
    fn value_of_key(&mut self, place: &Place, indent: usize, depth: usize) -> Option<Node> {
        let line = self.line;
        self.skip()?;
        if self.line == line && !self.is_at_end() {
            return self.value_in_line(indent, depth);
        }
        match self.indent().cmp(&indent) {
            Ordering::Greater => self.block(indent, depth),
            Ordering::Equal if self.is_at_dash() => self.sequence_of_key(indent, depth),
            _ => {
                self.count()?;
                Some(Node::new(Value::Null, place.clone()))
            }
        }
    }

    /// Reads a list that is indented like the key that it belongs to. To the other reader, it begins with its first element.
    fn sequence_of_key(&mut self, indent: usize, depth: usize) -> Option<Node> {
        let dash = self.line;
        let mut list = self.block_sequence(indent, depth)?;
        let Value::Sequence(items) = &list.value else { return None };
        let first = items.first()?.place.clone();
        // Of an element that is not beside its dash, it has a place between both.
        matches!(first, Place::File { line, .. } if line == dash).then_some(())?;
        list.place = first;
        Some(list)
    }

    fn value_in_line(&mut self, margin: usize, depth: usize) -> Option<Node> {
        if matches!(self.peek()?, b'[' | b'{') {
            return self.collection_in_line(margin, depth);
        }
        let scalar = self.scalar(Context::Block)?;
        self.end_line()?;
        Some(scalar.into_node())
    }

    /// Reads a flow collection after which the line ends.
    fn collection_in_line(&mut self, margin: usize, depth: usize) -> Option<Node> {
        let node = self.flow(margin, depth)?;
        self.end_line()?;
        Some(node)
    }

    /// Reads a list from its first dash.
    fn block_sequence(&mut self, indent: usize, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        self.count()?;
        let (place, mut items) = (self.place(), Vec::new());
        while self.indent() == indent && self.is_at_dash() {
            self.at += 1;
            self.skip()?;
            // An element that is not there has no place that is worth finding out.
            (self.indent() > indent).then_some(())?;
            items.push(self.block(indent, depth)?);
        }
        (self.indent() <= indent).then(|| Node::new(Value::Sequence(items), place))
    }

    fn is_at_dash(&self) -> bool {
        self.peek() == Some(b'-') && is_blank(self.peek_at(1))
    }

    /// Takes the colon that makes a scalar a key of a block mapping.
    fn take_colon(&mut self, scalar: &Scalar) -> bool {
        /// YAML 1.2, section 7.4.2: the most characters from the beginning of a key to its colon are 1,024. Counted in bytes, to
        /// be on the safe side.
        const MAX_KEY: usize = 1_000;
        self.skip_spaces();
        let is_key = self.peek() == Some(b':') && is_blank(self.peek_at(1)) && self.at - scalar.start <= MAX_KEY;
        self.at += usize::from(is_key);
        is_key
    }
}
