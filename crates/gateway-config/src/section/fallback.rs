//! `models.*.fallback_models`: a misspelt fallback would be found on the day that it is needed.

use super::catalogue::Catalogue;
use crate::config::{Model, Provider};
use crate::item::Item;
use crate::suggestion;

/// With the model itself as many as a caller may list in a request.
const MAX_FALLBACKS: usize = 15;

/// Where names of models lead.
pub(super) struct Names<'c> {
    pub(super) catalogue: &'c Catalogue,
    /// The prefix that may stand before any name, without its slash.
    pub(super) prefix: Option<&'c str>,
}

impl Names<'_> {
    /// Gives every model its fallbacks, as they were written for it, once all models are known.
    pub(super) fn settle(&self, models: &mut [Model], written: &[Vec<Item<'_>>]) {
        let lists = models.iter().zip(written).map(|(model, items)| self.read_list(items, &model.name, models));
        let lists: Vec<Vec<String>> = lists.collect();
        for (model, list) in models.iter_mut().zip(lists) {
            model.fallback_models = list;
        }
    }

    fn read_list(&self, items: &[Item<'_>], own: &str, models: &[Model]) -> Vec<String> {
        let mut list: Vec<String> = Vec::new();
        if let Some(item) = items.get(MAX_FALLBACKS) {
            item.refuse(format!("the list has {} models; at most {MAX_FALLBACKS} may follow one", items.len()));
        }
        for item in items.iter().take(MAX_FALLBACKS) {
            let Some(text) = item.name("the name of a model") else { continue };
            let name = self.without_prefix(text);
            if name.is_empty() || name.contains('*') {
                item.refuse_text(text, "the name of one model");
            } else if name == own {
                item.refuse("the model is its own fallback; `max_retries` says how often it is tried again");
            } else if list.iter().any(|other| other == name) {
                item.refuse("the model is given twice");
            } else {
                self.check_served(item, name, models);
                list.push(name.to_owned());
            }
        }
        list
    }

    fn without_prefix<'n>(&self, name: &'n str) -> &'n str {
        let stripped = self.prefix.and_then(|prefix| name.strip_prefix(prefix)).and_then(|rest| rest.strip_prefix('/'));
        stripped.unwrap_or(name)
    }

    fn check_served(&self, item: &Item<'_>, name: &str, models: &[Model]) {
        // A provider that could not be read might serve anything.
        let is_served = self.catalogue.has_nameless()
            || models.iter().any(|model| model.name == name)
            || is_mapped(name, self.catalogue);
        if is_served {
            return;
        }
        if is_mapped_by_disabled(name, self.catalogue) {
            item.warn("only a disabled provider serves this name; it is passed over until that is enabled");
            return;
        }
        let advice = suggestion::did_you_mean(name, public_names(models, self.catalogue));
        item.refuse_text(name, &format!("a model in `models` or in a provider's `model_mapping`{advice}"));
    }
}

/// Whether an enabled provider takes the name, or is named in it and takes the rest.
pub(super) fn is_mapped(name: &str, catalogue: &Catalogue) -> bool {
    catalogue.resolvable().any(|provider| leads_to(name, provider))
}

/// Whether a disabled provider would.
pub(super) fn is_mapped_by_disabled(name: &str, catalogue: &Catalogue) -> bool {
    catalogue.disabled().any(|provider| leads_to(name, provider))
}

fn leads_to(name: &str, provider: &Provider) -> bool {
    let mapping = &provider.model_mapping;
    let takes = |name: &str| mapping.is_empty() || mapping.iter().any(|entry| entry.public.matches(name));
    takes(name) || name.split_once('/').is_some_and(|(prefix, rest)| prefix == provider.name && takes(rest))
}

fn public_names<'c>(models: &'c [Model], catalogue: &'c Catalogue) -> impl Iterator<Item = &'c str> {
    let mapped = catalogue.resolvable().flat_map(|provider| &provider.model_mapping);
    let mapped = mapped.filter(|entry| entry.public.is_exact()).map(|entry| entry.public.as_str());
    models.iter().map(|model| model.name.as_str()).chain(mapped)
}
