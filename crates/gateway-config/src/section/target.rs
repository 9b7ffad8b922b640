//! `models.*.targets`: which providers serve a model.

use gateway_routing::MAX_TARGETS;

use super::catalogue::{Catalogue, Reference};
use super::provider::read_weight;
use crate::config::{Model, ModelTarget, Provider};
use crate::item::Item;

/// The tier of a target that names none: the first that an administrator would think of.
pub(crate) const DEFAULT_PRIORITY: u32 = 1;
/// The policy that looks at tiers.
pub(crate) const BY_PRIORITY: &str = "priority";

/// The targets of a model.
pub(super) struct Targets {
    /// Those at providers that take calls.
    pub(super) served: Vec<ModelTarget>,
    /// Whether nobody may serve the model, because none of its targets can and not all were switched off by somebody.
    pub(super) is_withheld: bool,
}

/// Reads the targets of a model. Those at providers that are disabled or absent are left out.
pub(super) fn read_all(item: &Item<'_>, model: &Model, catalogue: &Catalogue<'_>) -> Targets {
    let elements = item.items();
    if item.is_sequence() && elements.is_empty() {
        item.refuse("found an empty list, expected at least one target; leave `targets` out to use the mappings");
    }
    if elements.len() > MAX_TARGETS {
        item.refuse(format!("the list has {} targets; a model may have {MAX_TARGETS}", elements.len()));
    }
    let readings: Vec<Reading> =
        elements.iter().take(MAX_TARGETS).map(|element| read_one(element, model, catalogue)).collect();
    let are_all_disabled = readings.iter().all(|reading| matches!(reading, Reading::AtDisabled));
    let are_all_out = readings.iter().all(|reading| matches!(reading, Reading::AtDisabled | Reading::AtAbsent));
    let is_withheld = are_all_out && !are_all_disabled;
    if is_withheld {
        item.warn("no target can be used for now; until one can, calls go to `fallback_models`, or are refused");
    } else if are_all_disabled && !readings.is_empty() {
        item.warn("every target is at a disabled provider; the name is resolved by the providers' mappings instead");
    }
    let served = readings.into_iter().filter_map(|reading| match reading {
        Reading::Served(target) => Some(target),
        Reading::AtDisabled | Reading::AtAbsent | Reading::Refused => None,
    });
    Targets { served: served.collect(), is_withheld }
}

/// What reading one target came to.
enum Reading {
    Served(ModelTarget),
    AtDisabled,
    /// At a provider that is missing or left out.
    AtAbsent,
    Refused,
}

fn read_one(item: &Item<'_>, model: &Model, catalogue: &Catalogue<'_>) -> Reading {
    let Some(mut fields) = item.fields() else { return Reading::Refused };
    let provider = fields.require("provider");
    let reference = provider.as_ref().and_then(|item| catalogue.find(item, model.origin));
    if let (Some(item), Some(Reference::Absent(absence))) = (&provider, reference) {
        item.warn(absence.of_provider());
    }
    let upstream = fields.take("model").and_then(|item| item.name("the upstream's name for the model"));
    let weight = fields.take("weight").and_then(|item| read_weight(&item, "remove the target"));
    let priority = fields.take("priority").and_then(|item| read_priority(&item, &model.balance));
    fields.finish();
    match reference {
        None => Reading::Refused,
        Some(Reference::Disabled) => Reading::AtDisabled,
        Some(Reference::Absent(_)) => Reading::AtAbsent,
        Some(Reference::Enabled(index)) => {
            let public = model.name.as_str();
            let mapped = || catalogue.provider(index).map_or(public, |provider| mapped_name(provider, public));
            Reading::Served(ModelTarget {
                provider: index,
                upstream_model: upstream.unwrap_or_else(mapped).to_owned(),
                weight: weight.unwrap_or(1),
                priority: priority.unwrap_or(DEFAULT_PRIORITY),
            })
        }
    }
}

/// Reads a tier. An embedder's own policy may look at it too, a built-in one with another name does not.
fn read_priority(item: &Item<'_>, balance: &str) -> Option<u32> {
    let priority = item.integer(0..=1_000);
    if balance != BY_PRIORITY && gateway_routing::builtin().names().any(|name| name == balance) {
        item.warn(&format!(
            "targets are ordered by priority only under `balance: {BY_PRIORITY}`; this model's is `{balance}`"
        ));
    }
    priority
}

/// The provider's own name for a public one: by exact entry, else by the first pattern, else the same.
fn mapped_name<'n>(provider: &'n Provider, public: &'n str) -> &'n str {
    let mapping = &provider.model_mapping;
    let exact = mapping.iter().find(|entry| entry.public.as_str() == public);
    let entry = exact.or_else(|| mapping.iter().find(|entry| entry.public.matches(public)));
    entry.and_then(|entry| entry.upstream.as_deref()).unwrap_or(public)
}
