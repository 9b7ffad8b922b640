//! `models.*.targets`: which providers serve a model.

use super::catalogue::{Catalogue, Reference};
use super::provider::read_weight;
use crate::config::{ModelTarget, Provider};
use crate::item::Item;

/// Reads the targets of the model `public`. Those at disabled providers are left out.
pub(super) fn read_all(item: &Item<'_>, public: &str, catalogue: &Catalogue) -> Vec<ModelTarget> {
    let elements = item.items();
    if item.is_sequence() && elements.is_empty() {
        item.refuse("found an empty list, expected at least one target; leave `targets` out to use the mappings");
    }
    let readings: Vec<Reading> = elements.iter().map(|element| read_one(element, public, catalogue)).collect();
    if !readings.is_empty() && readings.iter().all(|reading| matches!(reading, Reading::AtDisabled)) {
        item.warn("every target is at a disabled provider; the name is resolved by the providers' mappings instead");
    }
    let targets = readings.into_iter().filter_map(|reading| match reading {
        Reading::Served(target) => Some(target),
        Reading::AtDisabled | Reading::Refused => None,
    });
    targets.collect()
}

/// What reading one target came to.
enum Reading {
    Served(ModelTarget),
    AtDisabled,
    Refused,
}

fn read_one(item: &Item<'_>, public: &str, catalogue: &Catalogue) -> Reading {
    let Some(mut fields) = item.fields() else { return Reading::Refused };
    let reference = fields.require("provider").and_then(|item| catalogue.find(&item));
    let upstream = fields.take("model").and_then(|item| item.name("the upstream's name for the model"));
    let weight = fields.take("weight").and_then(|item| read_weight(&item, "remove the target"));
    if let Some(item) = fields.take_not_in_force("priority") {
        item.integer::<u32>(0..=1_000);
    }
    fields.finish();
    match reference {
        None => Reading::Refused,
        Some(Reference::Disabled) => Reading::AtDisabled,
        Some(Reference::Enabled(index)) => {
            let mapped = || catalogue.provider(index).map_or(public, |provider| mapped_name(provider, public));
            let upstream_model = upstream.unwrap_or_else(mapped).to_owned();
            Reading::Served(ModelTarget { provider: index, upstream_model, weight: weight.unwrap_or(1) })
        }
    }
}

/// The provider's own name for a public one: by exact entry, else by the first pattern, else the same.
fn mapped_name<'n>(provider: &'n Provider, public: &'n str) -> &'n str {
    let mapping = &provider.model_mapping;
    let exact = mapping.iter().find(|entry| entry.public.as_str() == public);
    let entry = exact.or_else(|| mapping.iter().find(|entry| entry.public.matches(public)));
    entry.and_then(|entry| entry.upstream.as_deref()).unwrap_or(public)
}
