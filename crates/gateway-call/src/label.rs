//! Names of the configuration, as metrics and logs show them.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

/// The name of something in the configuration: a provider, a model, a key. Cheap to clone, and equal to another if that one is the
/// same name, which takes one comparison of numbers.
///
/// A label is made when a configuration is compiled or a key is loaded, never of what a caller wrote: that is what keeps the number of
/// series of a metric within bounds. Equal names share one label for as long as anything holds it. So what an observer keeps for
/// a label outlives a reload, and [`WeakLabel`] tells it when the name is gone.
///
/// ```
/// use gateway_call::Label;
///
/// let label = Label::of("openai");
/// assert_eq!(label, Label::of("openai"));
/// let held = label.downgrade();
/// drop(label);
/// assert!(held.is_gone());
/// ```
#[derive(Clone)]
pub struct Label(Arc<Interned>);

/// What an observer remembers of a label without keeping it alive.
#[derive(Debug, Clone)]
pub struct WeakLabel(Weak<Interned>);

#[derive(Debug)]
struct Interned {
    /// Never given twice in a process.
    number: u64,
    name: Box<str>,
}

/// Every label that somebody holds. Names are interned while configurations are made, never on the path of a call.
static LABELS: LazyLock<Mutex<HashMap<Box<str>, Weak<Interned>>>> = LazyLock::new(Mutex::default);

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

impl Label {
    /// What stands where a key or a model is told of and is not known. No label by itself, as the others are not.
    pub const UNKNOWN: &str = "unknown";
    /// What stands where a provider is told of and none was tried.
    pub const NONE: &str = "none";
    /// What stands for all those that there was no more room to tell apart.
    pub const OTHER: &str = "other";

    /// The label of a name.
    pub fn of(name: &str) -> Self {
        let mut labels = LABELS.lock();
        if let Some(known) = labels.get(name).and_then(Weak::upgrade) {
            return Self(known);
        }
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let interned = Arc::new(Interned { number, name: name.into() });
        labels.insert(name.into(), Arc::downgrade(&interned));
        Self(interned)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0.name
    }

    /// A number that stands for the name while the label lives, and for no other ever.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// The same without keeping it.
    pub fn downgrade(&self) -> WeakLabel {
        WeakLabel(Arc::downgrade(&self.0))
    }
}

impl WeakLabel {
    /// Whether nothing has the name any more: neither a configuration nor a call that began under one.
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Drop for Interned {
    fn drop(&mut self) {
        let mut labels = LABELS.lock();
        // Another of the same name may have been made since the last holder let go of this one.
        if labels.get(&self.name).is_some_and(|known| known.strong_count() == 0) {
            labels.remove(&self.name);
        }
    }
}

impl From<&str> for Label {
    fn from(name: &str) -> Self {
        Self::of(name)
    }
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn equal_names_share_a_label_while_somebody_holds_it() {
        let first = Label::of("label-test");
        let (number, again) = (first.number(), Label::of("label-test"));
        assert_eq!((again.number(), &*again), (number, "label-test"));
        assert_ne!(first, Label::of("label-test-2"));
        let weak = first.downgrade();
        drop(first);
        assert!(!weak.is_gone());
        drop(again);
        assert!(weak.is_gone());
        assert_ne!(Label::of("label-test").number(), number, "who comes back is somebody else");
    }

    #[test]
    fn what_nobody_holds_is_not_kept() {
        drop(Label::of("label-test-forgotten"));
        assert!(!LABELS.lock().contains_key("label-test-forgotten"));
    }

    #[test]
    fn threads_that_make_and_drop_one_name_agree_on_it() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let (one, other) = (Label::of("label-test-busy"), Label::of("label-test-busy"));
                        assert_eq!(one, other);
                    }
                });
            }
        });
        assert!(!LABELS.lock().contains_key("label-test-busy"));
    }
}
