//! The providers by name, for the sections that refer to them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::config::Provider;
use crate::item::Item;
use crate::suggestion;

/// What reading one element of `providers` came to.
#[derive(Default)]
pub(super) struct Listing {
    /// Its name, if that could be read.
    pub(super) name: Option<String>,
    /// The provider, if its element is a mapping.
    pub(super) provider: Option<Provider>,
    pub(super) is_enabled: bool,
}

#[derive(Default)]
pub(super) struct Catalogue {
    providers: Vec<Provider>,
    /// Known for the names that they would serve.
    disabled: Vec<Provider>,
    /// Index of the enabled ones; the disabled are known, so that naming one is not an error.
    by_name: HashMap<String, Option<usize>>,
    /// Whether some element has no readable name. It might be the one that a reference means.
    has_nameless: bool,
}

/// What a reference to a provider leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    Enabled(usize),
    Disabled,
}

impl Catalogue {
    pub(super) fn list(&mut self, item: &Item<'_>, listing: Listing) {
        let index = (listing.is_enabled && listing.provider.is_some()).then_some(self.providers.len());
        let list = if listing.is_enabled { &mut self.providers } else { &mut self.disabled };
        list.extend(listing.provider);
        let Some(name) = listing.name else {
            self.has_nameless = true;
            return;
        };
        match self.by_name.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(index);
            }
            Entry::Occupied(entry) => {
                item.refuse(format!("the name `{}` is taken by an earlier provider; names are unique", entry.key()));
            }
        }
    }

    /// Adds a provider that is written inline in a model, and says where it is.
    pub(super) fn add_inline(&mut self, provider: Provider) -> usize {
        self.providers.push(provider);
        self.providers.len() - 1
    }

    /// Finds the provider that a value names, or reports that there is none.
    pub(super) fn find(&self, item: &Item<'_>) -> Option<Reference> {
        let name = item.name("the name of a provider")?;
        match self.by_name.get(name) {
            Some(Some(index)) => Some(Reference::Enabled(*index)),
            Some(None) => Some(Reference::Disabled),
            None if self.has_nameless => None,
            None => {
                let names = self.by_name.keys().map(String::as_str);
                let mut names: Vec<&str> = names.collect();
                names.sort_unstable();
                item.refuse_text(name, &("the name of a provider".to_owned() + &suggestion::did_you_mean(name, names)));
                None
            }
        }
    }

    /// The provider for paths that the gateway does not know; it must be able to take them.
    pub(super) fn passthrough(&self, item: &Item<'_>) -> Option<usize> {
        match self.find(item)? {
            Reference::Enabled(index) => Some(index),
            Reference::Disabled => {
                item.refuse("the provider is disabled; enable it or leave `passthrough` out");
                None
            }
        }
    }

    pub(super) fn provider(&self, index: usize) -> Option<&Provider> {
        self.providers.get(index)
    }

    /// The enabled providers that take calls by name resolution.
    pub(super) fn resolvable(&self) -> impl Iterator<Item = &Provider> {
        self.providers.iter().filter(|provider| provider.resolvable)
    }

    /// The providers that would take calls by name resolution, too, if they were enabled.
    pub(super) fn disabled(&self) -> impl Iterator<Item = &Provider> {
        self.disabled.iter()
    }

    pub(super) fn has_nameless(&self) -> bool {
        self.has_nameless
    }

    pub(super) fn into_providers(self) -> Vec<Provider> {
        self.providers
    }
}
