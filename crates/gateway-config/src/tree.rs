//! The configuration before it has types: text in a tree, each value knowing where it came from.
//!
//! Scalars stay text until a section says what it wants, so `0123` is a number where a port is wanted and the four
//! characters it is where a key is wanted, whichever of the file, a variable or the environment it came from.
//! Mappings keep the file's order, because patterns are tried in that order.

use std::fmt::Write as _;
use std::sync::Arc;

/// Where a value came from. Ordered as reports are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The configuration as a whole.
    Whole,
    /// A position in the file, both from 1.
    File { line: u64, column: u64 },
    /// An environment variable or a line of `.env`.
    Environment(Arc<str>),
    /// An entry of the store, whose texts nobody sees as such, so that a position in them would say nothing.
    Store {
        /// Whether it stood among the entry's secrets. What does is never repeated, wherever it would have belonged.
        is_secret: bool,
    },
}

/// A value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// The variable that was expanded into this scalar, if one was.
    pub(crate) variable: Option<Arc<str>>,
    /// Whether it is a scalar that stood in quotes, so that it is a text where types matter, whatever is expanded into it.
    pub(crate) is_quoted: bool,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing: the same as leaving the key out.
    Null,
    /// Nothing, because the variable of a `${VAR:+value}` is not set: `false` where a boolean is wanted.
    Unset,
    /// Something that an error was reported about; there is no more to say.
    Refused,
    /// A scalar, whatever its quotes.
    Text(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Entry {
    /// An entry of a file.
    pub(crate) fn new(key: String, place: Place, mut node: Node) -> Self {
        // A value that is not there has no useful position of its own.
        if matches!(node.value, Value::Null) {
            node.place = place.clone();
        }
        Self { key, place, node }
    }
}

impl Node {
    pub(crate) fn new(value: Value, place: Place) -> Self {
        Self { value, place, variable: None, is_quoted: false }
    }

    /// A scalar that is not nothing. `is_quoted`: whether it is in quotes, or is said to be a text in another way.
    pub(crate) fn scalar(text: String, is_quoted: bool, place: Place) -> Self {
        Self { is_quoted, ..Self::new(Value::Text(text), place) }
    }

    /// A configuration that says nothing.
    pub(crate) fn empty() -> Self {
        Self::new(Value::Mapping(Vec::new()), Place::Whole)
    }

    /// Lets everything here have come from one place.
    pub(crate) fn relocate(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.relocate(place)),
            Value::Mapping(entries) => {
                for entry in entries {
                    entry.place = place.clone();
                    entry.node.relocate(place);
                }
            }
            Value::Null | Value::Unset | Value::Refused | Value::Text(_) => {}
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.value, Value::Null | Value::Unset | Value::Refused)
    }
}

/// The one mapping whose keys are themselves secrets.
const SECRET_KEYS: &str = "rate_limit_config.keys";

/// The path of the entry `key`, the `index`th of the mapping at `parent`. Secret keys are numbered, not named.
pub(crate) fn entry_path(parent: &str, key: &str, index: usize) -> String {
    if parent == SECRET_KEYS {
        return item_path(parent, index);
    }
    let mut path = String::with_capacity(parent.len() + 1 + key.len());
    path.push_str(parent);
    if !parent.is_empty() {
        path.push('.');
    }
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-*".contains(c));
    if is_plain {
        path.push_str(key);
    } else {
        let _ = write!(path, "{key:?}");
    }
    path
}

/// The path of the `index`th element of the sequence at `parent`.
pub(crate) fn item_path(parent: &str, index: usize) -> String {
    let mut path = String::with_capacity(parent.len() + "[9999]".len());
    path.push_str(parent);
    let _ = write!(path, "[{index}]");
    path
}
