//! Values of labels: names of the configuration, and constants.
//!
//! A [`Label`] that were kept here would live forever, and nobody could tell that its name is gone. So a series has a [`Name`]:
//! the text, and a weak hold of the label that it is the text of.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use gateway_call::{Label, WeakLabel};
use papaya::HashMap;
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use rustc_hash::FxBuildHasher;

/// What stands for a name that nobody knows: the model or the key of a call that has none.
pub(super) const UNKNOWN: &str = Label::UNKNOWN;

/// What stands for the provider of a call that went to none.
pub(super) const NONE: &str = Label::NONE;

/// What stands for the names of a combination that there was no more room for.
pub(super) const OTHER: &str = Label::OTHER;

/// The text of a label, for as long as the label lives.
pub(super) struct Name {
    number: u64,
    text: Box<str>,
    label: WeakLabel,
}

/// The value of a label.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// A name of the configuration.
    Named(Arc<Name>),
    /// A constant of this program.
    Constant(&'static str),
    /// An HTTP status.
    Status(u16),
}

/// Every name that has been counted, by its label's number.
#[derive(Default)]
pub(super) struct Names(HashMap<u64, Arc<Name>, FxBuildHasher>);

impl Names {
    /// The value that stands for a label, or `absent` where there is none.
    ///
    /// A label that reads like one of the constants is that constant, for two series cannot have the same labels.
    pub(super) fn value(&self, label: Option<&Label>, absent: &'static str) -> Value {
        let Some(label) = label else { return Value::Constant(absent) };
        if let Some(constant) = [UNKNOWN, NONE, OTHER].into_iter().find(|constant| *constant == label.as_str()) {
            return Value::Constant(constant);
        }
        let name = || Arc::new(Name { number: label.number(), text: label.as_str().into(), label: label.downgrade() });
        Value::Named(Arc::clone(self.0.pin().get_or_insert_with(label.number(), name)))
    }

    /// Forgets the names that are gone.
    pub(super) fn sweep(&self) {
        self.0.pin().retain(|_, name| !name.label.is_gone());
    }
}

impl Value {
    /// Whether it was a name, which nothing has any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Named(name) if name.label.is_gone())
    }

    /// How the rows of a family are sorted. The values of one label are either texts or statuses.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn key(&self) -> (&str, u16) {
        match self {
            Self::Named(name) => (&name.text, 0),
            Self::Constant(text) => (text, 0),
            Self::Status(status) => ("", *status),
        }
    }
}

impl EncodeLabelValue for Value {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => (&*name.text).encode(encoder),
            Self::Constant(text) => text.encode(encoder),
            Self::Status(status) => status.encode(encoder),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}
