//! A mapping of settings as a section reads it: each key is taken by name, and what is left over is an error.
//!
//! Taking a key is what makes it known, so the list of allowed keys in an error cannot differ from what is read.

use std::time::Duration;

use crate::item::{Inside, Item};
use crate::tree::Entry;

/// The most allowed keys that an error lists; a longer list hides the suggestion.
const MAX_LISTED_KEYS: usize = 14;

/// Room for the keys of any but the largest section.
const MOST_KEYS: usize = 16;

pub(crate) struct Fields<'a> {
    item: Item<'a>,
    inside: Inside<'a>,
    entries: &'a [Entry],
    /// Keys to tell of, in the order in which they were taken.
    known: Vec<&'static str>,
    /// Accepted older spellings; understood, not advertised.
    older: Vec<Spelling>,
}

/// A key with what follows it in a spelling that names the unit.
#[derive(Clone, Copy)]
struct Spelling(&'static str, &'static str);

impl Spelling {
    /// All of a duration: as it is, and as a number.
    const fn of_duration(key: &'static str) -> [Self; 3] {
        [Self(key, ""), Self(key, "_ms"), Self(key, "_secs")]
    }

    fn is(self, key: &str) -> bool {
        key.strip_prefix(self.0) == Some(self.1)
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn new(item: Item<'a>, entries: &'a [Entry]) -> Self {
        Self { inside: item.inside(), item, entries, known: Vec::with_capacity(MOST_KEYS), older: Vec::new() }
    }

    /// The mapping itself.
    pub(crate) fn item(&self) -> &Item<'a> {
        &self.item
    }

    /// The value of a key, if it is there and not null.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.push(key);
        self.find(key).filter(|item| !item.is_absent())
    }

    /// The value of a key in an older spelling.
    pub(crate) fn take_older(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.take_spelling(Spelling(key, ""))
    }

    fn take_spelling(&mut self, spelling: Spelling) -> Option<Item<'a>> {
        self.older.push(spelling);
        self.find_spelling(spelling).filter(|item| !item.is_absent())
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&mut self, key: &'static str) -> Option<Item<'a>> {
        let value = self.take(key);
        let is_reported = self.find(key).is_some_and(|item| item.is_refused());
        if value.is_none() && !is_reported {
            self.item.refuse(format!("`{key}` is missing"));
        }
        value
    }

    /// A boolean; one whose variable is not set is false.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.known.push(key);
        let item = self.find(key)?;
        if item.is_unset() {
            return Some(false);
        }
        if item.is_absent() { None } else { item.flag() }
    }

    /// A duration under its own name or, as a bare number, under `*_ms` or `*_secs`.
    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let [_, milliseconds, seconds] = Spelling::of_duration(key);
        let current = self.take(key);
        let milliseconds = self.take_spelling(milliseconds);
        let seconds = self.take_spelling(seconds);
        refuse_rivals([&current, &milliseconds, &seconds]);
        if let Some(item) = current {
            return item.duration();
        }
        if let Some(item) = milliseconds {
            return item.counted_duration(Duration::from_millis(1));
        }
        seconds?.counted_duration(Duration::from_secs(1))
    }

    /// A duration as [`duration`](Self::duration), longer than zero.
    pub(crate) fn positive_duration(&mut self, key: &'static str) -> Option<Duration> {
        let duration = self.duration(key)?;
        if duration.is_zero() {
            let item = self.given_duration(key).unwrap_or_else(|| self.item.clone());
            item.refuse("found zero, expected a duration longer than that");
            return None;
        }
        Some(duration)
    }

    /// What is given for a duration, readable or not, under whichever of its names.
    pub(crate) fn given_duration(&self, key: &'static str) -> Option<Item<'a>> {
        let spellings = Spelling::of_duration(key).into_iter();
        let mut given = spellings.filter_map(|spelling| self.find_spelling(spelling));
        given.find(|item| !item.is_absent() || item.is_refused())
    }

    /// Reports every key that nobody took.
    pub(crate) fn finish(self) {
        for (index, entry) in self.entries.iter().enumerate() {
            let key = entry.key.as_str();
            let is_known = self.known.contains(&key) || self.older.iter().any(|older| older.is(key));
            if !is_known {
                self.inside.entry(entry, index).refuse_at(&entry.place, self.unknown_key(key));
            }
        }
    }

    fn unknown_key(&self, key: &str) -> String {
        let older: Vec<String> = self.older.iter().map(|Spelling(key, unit)| format!("{key}{unit}")).collect();
        let every_name = self.known.iter().copied().chain(older.iter().map(String::as_str));
        let mut message = String::from("unknown key") + &self.item.suggest(key, every_name);
        if self.known.len() <= MAX_LISTED_KEYS {
            let separator = if message.ends_with('?') { "" } else { ";" };
            message = format!("{message}{separator} allowed here: {}", self.known.join(", "));
        }
        message
    }

    /// What is given under a key, readable or not.
    pub(crate) fn find(&self, key: &str) -> Option<Item<'a>> {
        self.find_by(|it| it == key)
    }

    fn find_spelling(&self, spelling: Spelling) -> Option<Item<'a>> {
        self.find_by(|key| spelling.is(key))
    }

    fn find_by(&self, is_it: impl Fn(&str) -> bool) -> Option<Item<'a>> {
        let (index, entry) = self.entries.iter().enumerate().find(|(_, entry)| is_it(&entry.key))?;
        Some(self.inside.entry(entry, index))
    }
}

/// Refuses settings that say the same thing twice, at the second.
pub(crate) fn refuse_rivals<const N: usize>(rivals: [&Option<Item<'_>>; N]) {
    let mut given = rivals.into_iter().flatten();
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        second.refuse(format!("cannot be given together with {}; keep one of them", first.path()));
    }
}
