//! `models.*.fallback_models`: a misspelt fallback would be found on the day that it is needed.

use super::catalogue::Catalogue;
use crate::config::Model;
use crate::item::Item;
use crate::suggestion;

/// Checks that every fallback is a name that somebody serves.
pub(super) fn check(fallbacks: &[Item<'_>], models: &[Model], catalogue: &Catalogue, suffix: Option<&str>) {
    for item in fallbacks {
        let Some(name) = item.name("the name of a model") else { continue };
        if !is_served(without_suffix(name, suffix), models, catalogue) {
            let advice = suggestion::did_you_mean(name, public_names(models, catalogue));
            item.refuse_text(name, &format!("a model in `models` or in a provider's `model_mapping`{advice}"));
        }
    }
}

fn without_suffix<'n>(name: &'n str, suffix: Option<&str>) -> &'n str {
    let stripped = suffix.and_then(|suffix| name.strip_prefix(suffix)).and_then(|rest| rest.strip_prefix('/'));
    stripped.unwrap_or(name)
}

fn is_served(name: &str, models: &[Model], catalogue: &Catalogue) -> bool {
    // A provider that could not be read might serve anything.
    catalogue.has_nameless() || models.iter().any(|model| model.name == name) || is_mapped(name, catalogue)
}

/// Whether a provider takes the name, or is named in it.
pub(super) fn is_mapped(name: &str, catalogue: &Catalogue) -> bool {
    let by_mapping = catalogue.resolvable().any(|provider| {
        let mapping = &provider.model_mapping;
        mapping.is_empty() || mapping.iter().any(|entry| entry.public.matches(name))
    });
    by_mapping || name.split_once('/').is_some_and(|(provider, _)| catalogue.knows(provider))
}

fn public_names<'c>(models: &'c [Model], catalogue: &'c Catalogue) -> impl Iterator<Item = &'c str> {
    let mapped = catalogue.resolvable().flat_map(|provider| &provider.model_mapping);
    let mapped = mapped.filter(|entry| entry.public.is_exact()).map(|entry| entry.public.as_str());
    models.iter().map(|model| model.name.as_str()).chain(mapped)
}
