//! A duration that doubles, and the most that it grows to: `base_delay` and `max_delay`, `open` and `max_open`.
//!
//! A ceiling below the first value is refused rather than obeyed, also where one of the two is the default: whichever
//! was meant, the other one would silently not hold.

use std::time::Duration;

use crate::fields::Fields;

/// One of the two, as it was read.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) key: &'static str,
    /// What was given and could be read.
    pub(super) given: Option<Duration>,
    pub(super) default: Duration,
}

impl Bound {
    pub(super) fn value(self) -> Duration {
        self.given.unwrap_or(self.default)
    }

    /// The value for a message, which must say if it is nowhere in the file.
    fn shown(self) -> String {
        match self.given {
            Some(given) => format!("{given:?}"),
            None => format!("{:?} by default", self.default),
        }
    }
}

/// Refuses a ceiling below the first value, at the one that was given; at the ceiling if both were.
pub(super) fn check(fields: &Fields<'_>, first: Bound, ceiling: Bound) {
    let is_unreadable = |bound: Bound| bound.given.is_none() && fields.given_duration(bound.key).is_some();
    if first.value() <= ceiling.value() || is_unreadable(first) || is_unreadable(ceiling) {
        return;
    }
    if let Some(item) = fields.given_duration(ceiling.key) {
        item.refuse(format!("shorter than `{}`, which is {}", first.key, first.shown()));
    } else if let Some(item) = fields.given_duration(first.key) {
        item.refuse(format!("longer than `{}`, which is {}; give both", ceiling.key, ceiling.shown()));
    }
}
