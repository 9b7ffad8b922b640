//! How many providers may serve one name: as many as a ranking of targets can hold.
//!
//! Names are counted in the order of the configuration, so it is the last provider that is one too many. One of the file is an
//! error; one of the store is left out whole, and its other names count for nobody.

use std::collections::{HashMap, HashSet};

use gateway_routing::MAX_TARGETS;

use super::catalogue::Catalogue;
use crate::config::{Origin, Provider};
use crate::item::Item;

/// Reports every provider that maps a name which as many as may map already, and leaves out those of the store.
pub(super) fn thin_out(catalogue: &mut Catalogue<'_>) {
    let mut counts = Counts::of_none(catalogue.enabled());
    let mut surplus = Vec::with_capacity(catalogue.enabled().len());
    for provider in catalogue.enabled() {
        let crowded = counts.add(provider);
        let is_surplus = crowded.is_some() && provider.origin != Origin::File;
        if let (Some(names), Some(item)) = (crowded, catalogue.holder(&provider.name)) {
            refuse(item, &names);
        }
        if is_surplus {
            counts.subtract(provider);
        }
        surplus.push(is_surplus);
    }
    if surplus.contains(&true) {
        catalogue.leave_out(&surplus);
    }
}

/// The targets of each name so far.
struct Counts<'p> {
    mapped: HashMap<&'p str, usize>,
    any: usize,
}

impl<'p> Counts<'p> {
    /// Counts of none of these providers, with room for all of their names.
    fn of_none(providers: &'p [Provider]) -> Self {
        let names = providers.iter().map(|provider| provider.model_mapping.len()).sum();
        Self { mapped: HashMap::with_capacity(names), any: 0 }
    }

    /// Counts a provider. Gives the names that have too many with it: none of them if it takes any name.
    fn add(&mut self, provider: &'p Provider) -> Option<HashSet<&'p str>> {
        if provider.model_mapping.is_empty() {
            self.any += 1;
            return (self.any > MAX_TARGETS).then(HashSet::new);
        }
        let mut crowded = HashSet::new();
        for mapping in &provider.model_mapping {
            let count = self.mapped.entry(mapping.public.as_str()).or_default();
            *count += 1;
            if *count > MAX_TARGETS {
                crowded.insert(mapping.public.as_str());
            }
        }
        (!crowded.is_empty()).then_some(crowded)
    }

    fn subtract(&mut self, provider: &Provider) {
        if provider.model_mapping.is_empty() {
            self.any -= 1;
        }
        for mapping in &provider.model_mapping {
            if let Some(count) = self.mapped.get_mut(mapping.public.as_str()) {
                *count -= 1;
            }
        }
    }
}

/// Reports at the entries of the mapping, or at a provider without one, that there are too many like it.
fn refuse(provider: &Item<'_>, names: &HashSet<&str>) {
    let mapping = provider.fields().and_then(|fields| fields.find("model_mapping"));
    let Some(mapping) = mapping.filter(|_| !names.is_empty()) else {
        return provider.refuse(format!(
            "without a `model_mapping` it takes any name, as {MAX_TARGETS} providers do already, the most that may"
        ));
    };
    let is_crowded = |name: Option<&str>| name.is_some_and(|name| names.contains(name));
    let problem = format!("{MAX_TARGETS} providers map this name already, the most that may");
    if mapping.is_sequence() {
        let items = mapping.items();
        items.iter().filter(|item| is_crowded(item.text("a name"))).for_each(|item| item.refuse(&*problem));
    } else {
        let entries = mapping.entries();
        entries.iter().filter(|(name, _)| is_crowded(Some(name))).for_each(|(_, item)| item.refuse(&*problem));
    }
}
