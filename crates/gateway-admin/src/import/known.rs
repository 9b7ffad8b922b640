//! Which key of the store a key of a file is.

use std::collections::{HashMap, HashSet};

use gateway_keystore::{Changes, KeyRecord};
use gateway_secret::KeyDigest;

use crate::master_keys::{FileKey, MAX_ID};

/// The keys of a store, to be looked up, and the identifiers that are not free.
pub(super) struct KnownKeys<'s> {
    by_value: HashMap<KeyDigest, &'s KeyRecord>,
    /// By the value before the last rotation, whether it is still good or not.
    by_retired_value: HashMap<KeyDigest, &'s KeyRecord>,
    /// Those whose values are not in the file, by their names, which are not always unique.
    by_name: HashMap<&'s str, &'s KeyRecord>,
    /// The same by their identifiers, if those are not what their names come to: the name is another one since.
    by_old_name: HashMap<&'s str, &'s KeyRecord>,
    taken: HashSet<String>,
}

/// What a key of a file is to a store.
pub(super) enum Known<'s> {
    /// One with this value.
    Same(&'s KeyRecord),
    /// One that had this value until it was rotated.
    Retired,
    /// One of this name, with a value that the file does not have.
    OtherValue(&'s KeyRecord),
    /// None of the store; this identifier is free.
    New(String),
}

impl<'s> KnownKeys<'s> {
    pub(super) fn new(stored: &'s Changes, file: &[FileKey]) -> Self {
        let in_file: HashSet<_> = file.iter().map(|key| key.digest).collect();
        let keys = &stored.keys;
        let retired = keys.iter().filter_map(|key| Some((key.previous?.digest, key)));
        // What has a value of the file is what has it there, and no other's that has its name now.
        let others = || keys.iter().filter(|key| !in_file.contains(&key.digest));
        let renamed = others().filter(|key| identifier(&key.name) != *key.id);
        let unreadable = stored.unreadable.iter().map(|(id, _)| id.clone());
        Self {
            by_value: keys.iter().map(|key| (key.digest, key)).collect(),
            by_retired_value: retired.collect(),
            by_name: others().map(|key| (&*key.name, key)).collect(),
            by_old_name: renamed.map(|key| (&*key.id, key)).collect(),
            taken: keys.iter().map(|key| key.id.to_string()).chain(unreadable).collect(),
        }
    }

    /// What it is, by its value first. An identifier that it gets is taken from then on.
    pub(super) fn find(&mut self, key: &FileKey) -> Known<'s> {
        if let Some(same) = self.by_value.get(&key.digest) {
            return Known::Same(same);
        }
        if self.by_retired_value.contains_key(&key.digest) {
            return Known::Retired;
        }
        let wanted = identifier(&key.name);
        match self.by_name.get(key.name.as_str()).or_else(|| self.by_old_name.get(wanted.as_str())) {
            Some(other) => Known::OtherValue(other),
            None => Known::New(self.free(&wanted)),
        }
    }

    /// An identifier that nothing has: this one, or with the first number behind it that makes it one.
    fn free(&mut self, wanted: &str) -> String {
        let mut id = wanted.to_owned();
        let mut number = 1;
        while self.taken.contains(&id) {
            number += 1;
            let suffix = format!("-{number}");
            // Identifiers are ASCII, so they can be cut anywhere.
            let stem = &wanted[..wanted.len().min(MAX_ID - suffix.len())];
            id = format!("{stem}{suffix}");
        }
        self.taken.insert(id.clone());
        id
    }
}

/// A name as an identifier, which can stand in a path: `Production Key` is `Production-Key`. Several names come to the same one.
fn identifier(name: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() || matches!(it, '.' | '_') { it } else { '-' };
    let id: String = name.chars().take(MAX_ID).map(plain).collect();
    // In a path these are steps.
    if matches!(id.as_str(), "." | "..") { id.replace('.', "-") } else { id }
}
