//! The way to a value. It is written out, as a key path, for messages only: of the ten thousand values of a large file, few have
//! one.

use std::rc::Rc;

use crate::tree::{entry_path, item_path};

#[derive(Clone)]
pub(crate) enum Way<'k> {
    /// To the whole.
    Root,
    /// To the value of a key, which is the `usize`th of its mapping.
    Key(Rc<Way<'k>>, &'k str, usize),
    /// To an element of a list.
    Element(Rc<Way<'k>>, usize),
}

impl Way<'_> {
    /// As in `providers[0].timeouts`.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key, index) => entry_path(&parent.path(), key, *index),
            Self::Element(parent, index) => item_path(&parent.path(), *index),
        }
    }
}
