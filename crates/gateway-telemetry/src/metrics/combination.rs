//! Which series something counts in, found by one look-up.
//!
//! A call's names, constants and features, as far as any family looks at them, are its key. What counts the calls of one key is
//! put together when the first of them settles, and found again by numbers: no text is hashed, compared or copied after that.
//! Attempts and arrivals are found in the same way.

use std::hash::{Hash, Hasher};
use std::ptr;

use gateway_call::Label;
use papaya::{HashMap, HashMapRef, LocalGuard, ResizeMode};
use rustc_hash::FxBuildHasher;

use super::name::{Names, OTHER, UNKNOWN, Value};
use super::table::is_gone;

/// Combinations that there is room for at the start, in 24 kB.
const AT_FIRST: usize = 1024;

/// Stands for a name that is absent. Labels are numbered from 0.
const ABSENT: u64 = u64::MAX;

/// Stands for the names of a combination that there was no room for.
pub(super) const CROWDED: u64 = u64::MAX - 1;

/// A constant text, told from others by where it is. One that the compiler has put in two places counts as two: their keys differ,
/// and find the same series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Constant(pub(super) &'static str);

impl PartialEq for Constant {
    fn eq(&self, other: &Self) -> bool {
        // Address and length.
        ptr::eq(self.0, other.0)
    }
}

impl Eq for Constant {}

impl Hash for Constant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ptr().addr().hash(state);
    }
}

/// By which a combination is found.
pub(super) trait Key: Copy + Eq + Hash {
    /// The key under which it is counted if there is no room for one of its own. It says nothing of the names that there are many of.
    fn crowded(self) -> Self;
}

impl Key for Constant {
    fn crowded(self) -> Self {
        self
    }
}

/// What counts the things of one key.
pub(super) struct Combination<C> {
    /// The values that may be names, and so may go.
    values: Box<[Value]>,
    counts: Box<[C]>,
}

impl<C> Combination<C> {
    /// One that lasts as long as the names among `values`.
    pub(super) fn new(values: Box<[Value]>, counts: impl Iterator<Item = C>) -> Self {
        Self { values, counts: counts.collect() }
    }
}

/// The combinations that have occurred.
pub(super) struct Combinations<K, C> {
    found: HashMap<K, Combination<C>, FxBuildHasher>,
    most: usize,
}

type Pinned<'a, K, C> = HashMapRef<'a, K, Combination<C>, FxBuildHasher, LocalGuard<'a>>;

impl<K: Key, C> Combinations<K, C> {
    /// Room for so many combinations. Threads that come at the same time may go a little beyond it.
    ///
    /// The map begins small: room for all would take half a megabyte of memory at once, for a table that nearly nobody fills. It grows in one
    /// step rather than bit by bit, because as long as a growth is not over, each look-up searches several tables, which made it three
    /// times as dear, for as long as nothing new comes to finish it. The step is taken by a call that is the first of its kind.
    pub(super) fn new(most: usize) -> Self {
        let found =
            HashMap::builder().hasher(FxBuildHasher).resize_mode(ResizeMode::Blocking).capacity(most.min(AT_FIRST));
        Self { found: found.build(), most }
    }

    /// Shows `each` what counts the things of a key, which `begin` puts together for the first of them.
    #[inline]
    pub(super) fn count(&self, key: K, begin: impl Fn(K) -> Combination<C>, each: impl FnMut(&C)) {
        let found = self.found.pin();
        let combination = match found.get(&key) {
            Some(combination) => combination,
            None => self.begin(&found, key, begin),
        };
        combination.counts.iter().for_each(each);
    }

    #[cold]
    fn begin<'a>(
        &self,
        found: &'a Pinned<'_, K, C>,
        key: K,
        begin: impl Fn(K) -> Combination<C>,
    ) -> &'a Combination<C> {
        let key = if found.len() < self.most { key } else { key.crowded() };
        found.get_or_insert_with(key, || begin(key))
    }

    /// Forgets the combinations of names that are gone. Nothing can count in them any more, for whatever would has the label.
    pub(super) fn sweep(&self) {
        self.found.pin().retain(|_, combination| !is_gone(&combination.values));
    }
}

pub(super) fn number(label: Option<&Label>) -> u64 {
    label.map_or(ABSENT, Label::number)
}

/// The value for a number that [`number`] has made, or that [`Key::crowded`] has put in its place.
pub(super) fn value(number: u64, label: Option<&Label>, names: &Names) -> Value {
    if number == CROWDED { Value::Constant(OTHER) } else { names.value(label, UNKNOWN) }
}
