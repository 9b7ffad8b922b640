//! `models.*.fallback_models`: a misspelt fallback would be found on the day that it is needed.

use std::collections::HashMap;

use super::model::Draft;
use super::serving::{Served, Serving};
use crate::config::Origin;
use crate::item::Item;

/// With the model itself as many as a caller may list in a request.
const MAX_FALLBACKS: usize = 15;

/// Where names of models lead.
pub(super) struct Names<'n, 'c> {
    pub(super) serving: &'n Serving<'c>,
    /// The names in `models`, of the file and the store.
    pub(super) models: HashMap<&'n str, Presence>,
    /// The prefix that may stand before any name, without its slash.
    pub(super) prefix: Option<&'n str>,
}

/// Whether an entry of `models` is part of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Kept,
    LeftOut,
}

impl Names<'_, '_> {
    /// Gives a model its fallbacks, as they were written for it, once all names are known.
    pub(super) fn settle(&self, draft: &mut Draft<'_>) {
        let items = std::mem::take(&mut draft.fallbacks);
        let own = draft.model.name.clone();
        if let Some(item) = items.get(MAX_FALLBACKS) {
            item.refuse(format!("the list has {} models; at most {MAX_FALLBACKS} may follow one", items.len()));
        }
        for item in items.into_iter().take(MAX_FALLBACKS) {
            let Some(text) = item.name("the name of a model") else { continue };
            let (name, list) = (self.without_prefix(text), &mut draft.model.fallback_models);
            if name.is_empty() || name.contains('*') {
                item.refuse_text(text, "the name of one model");
            } else if name == own {
                item.refuse("the model is its own fallback; `max_retries` says how often it is tried again");
            } else if list.iter().any(|other| other == name) {
                item.refuse("the model is given twice");
            } else {
                self.check_known(&item, name, draft.model.origin);
                list.push(name.to_owned());
                draft.fallbacks.push(item);
            }
        }
    }

    /// Warns of fallbacks that lead nowhere for now, once it is known which models are left out.
    pub(super) fn warn_of_absent(&self, draft: &Draft<'_>) {
        for (item, name) in draft.fallbacks.iter().zip(&draft.model.fallback_models) {
            match (self.models.get(name.as_str()), self.serving.of(name, draft.model.origin)) {
                // What nobody serves was refused when it was read.
                (Some(Presence::Kept), _) | (_, Served::Now) | (None, Served::Never) => {}
                (Some(Presence::LeftOut), _) => {
                    item.warn(
                        "the model of this name in the store is left out; it is passed over until that is mended",
                    );
                }
                (None, Served::OnceEnabled) => {
                    item.warn("only a disabled provider serves this name; it is passed over until that is enabled");
                }
                (None, Served::Perhaps(absence)) => item.warn(absence.of_service()),
            }
        }
    }

    fn without_prefix<'t>(&self, name: &'t str) -> &'t str {
        let stripped = self.prefix.and_then(|prefix| name.strip_prefix(prefix)).and_then(|rest| rest.strip_prefix('/'));
        stripped.unwrap_or(name)
    }

    fn check_known(&self, item: &Item<'_>, name: &str, origin: Origin) {
        if self.models.contains_key(name) || self.serving.of(name, origin) != Served::Never {
            return;
        }
        let mut names: Vec<&str> = self.models.keys().copied().chain(self.serving.exact_names()).collect();
        names.sort_unstable();
        let advice = self.serving.catalogue().suggest(item, name, names);
        item.refuse_text(name, &format!("a model in `models` or in a provider's `model_mapping`{advice}"));
    }
}
