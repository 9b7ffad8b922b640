//! `models`: those of the file, and after them those of the store.
//!
//! A model of the store that is left out takes no other with it: what names it as a fallback goes on without, as it does
//! without a model that only a disabled provider serves.

use std::collections::HashMap;

use gateway_keystore::SettingsKind;

use super::fallback::{Names, Presence};
use super::model::{self, Draft, Surroundings};
use crate::config::{Model, Origin, Provider};
use crate::fields::Fields;
use crate::item::Item;
use crate::stored::{Stored, StoredEntry};

/// Models whose inline providers have no place among the others yet.
pub(super) struct Models<'a> {
    drafts: Vec<Draft<'a>>,
    /// Those that are left out.
    left_out: Vec<String>,
}

impl Models<'_> {
    /// The names that are to be served by nobody rather than by somebody else.
    pub(super) fn withheld(&self) -> Vec<String> {
        let withheld = self.drafts.iter().filter(|draft| draft.is_withheld).map(|draft| draft.model.name.clone());
        let mut names: Vec<String> = withheld.chain(self.left_out.iter().cloned()).collect();
        names.sort_unstable();
        names
    }

    /// The models, with their inline providers at the end of these.
    pub(super) fn finish(self, providers: &mut Vec<Provider>) -> Vec<Model> {
        self.drafts.into_iter().map(|draft| draft.finish(providers)).collect()
    }
}

/// Reads all models. `prefix` may stand before any name, without its slash.
pub(super) fn read_all<'a>(
    root: &mut Fields<'a>,
    stored: &'a Stored<'_>,
    around: Surroundings<'_>,
    prefix: Option<&str>,
) -> Models<'a> {
    let listed = root.take("models").map(|section| section.entries()).unwrap_or_default();
    let mut drafts: Vec<(Draft<'a>, Option<&StoredEntry<'_>>)> =
        listed.iter().map(|(name, item)| (model::read_one(name, item, Origin::File, around), None)).collect();
    drafts.extend(read_stored(&listed, stored, around));

    let unreadable = stored.unreadable(SettingsKind::Model).map(|name| (name, Presence::LeftOut));
    let left_out = stored.models.iter().map(|entry| (entry.name(), Presence::LeftOut));
    let listed = listed.iter().map(|(name, _)| (*name, Presence::Kept));
    let mut names =
        Names { serving: around.serving, models: unreadable.chain(left_out).chain(listed).collect(), prefix };
    for (draft, _) in &mut drafts {
        // A fallback may name a model further down.
        names.settle(draft);
    }
    drafts.retain(|(_, entry)| entry.is_none_or(|entry| !entry.is_left_out()));
    let kept = drafts.iter().filter_map(|(_, entry)| Some((entry.as_ref()?.name(), Presence::Kept)));
    names.models.extend(kept);
    for (draft, _) in &drafts {
        names.warn_of_absent(draft);
    }
    let left_out = names.models.iter().filter(|(_, presence)| **presence == Presence::LeftOut);
    // What is no name cannot be called.
    let left_out = left_out.map(|(name, _)| *name).filter(|name| model::problem_of(name).is_none());
    let left_out = left_out.map(str::to_owned).collect();
    Models { drafts: drafts.into_iter().map(|(draft, _)| draft).collect(), left_out }
}

/// Reads the models of the store whose names are not taken, by the file or by each other.
fn read_stored<'a, 's>(
    listed: &[(&str, Item<'_>)],
    stored: &'a Stored<'s>,
    around: Surroundings<'_>,
) -> Vec<(Draft<'a>, Option<&'a StoredEntry<'s>>)> {
    let mut holders: HashMap<&str, Item<'_>> = listed.iter().map(|(name, item)| (*name, item.clone())).collect();
    let mut drafts = Vec::new();
    for entry in &stored.models {
        let (name, item) = (entry.name(), entry.item());
        if let Some(holder) = holders.get(name) {
            entry.yield_name_to(holder);
            continue;
        }
        drafts.push((model::read_one(name, &item, entry.origin(), around), Some(entry)));
        holders.insert(name, item);
    }
    drafts
}
