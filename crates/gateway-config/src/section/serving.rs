//! Which public names the providers' mappings serve.
//!
//! A large configuration asks for thousands of names of thousands of mappings, so names are looked up: exact ones by
//! themselves, patterns by what stands before their first `*`.

use std::collections::{HashMap, HashSet};

use gateway_call::ModelPattern;

use super::catalogue::{Absence, Catalogue};
use crate::config::{Origin, Provider};

/// The names that a catalogue's providers serve, before models with providers of their own are added.
pub(super) struct Serving<'c> {
    catalogue: &'c Catalogue<'c>,
    enabled: Index<'c>,
    disabled: Index<'c>,
}

/// Whether a name is served by somebody's mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// By an enabled provider, or by one that could not be read and has made the whole an error already.
    Now,
    /// By a disabled provider, once that is enabled.
    OnceEnabled,
    /// Perhaps, by what is missing.
    Perhaps(Absence),
    Never,
}

impl<'c> Serving<'c> {
    pub(super) fn new(catalogue: &'c Catalogue<'c>) -> Self {
        let (enabled, disabled) = (Index::of(catalogue.enabled()), Index::of(catalogue.disabled()));
        Self { catalogue, enabled, disabled }
    }

    pub(super) fn catalogue(&self) -> &'c Catalogue<'c> {
        self.catalogue
    }

    /// Whether a name is served that the file or the store refers to.
    pub(super) fn of(&self, name: &str, origin: Origin) -> Served {
        if self.leads_to(name, true) || self.catalogue.has_nameless() {
            return Served::Now;
        }
        if self.leads_to(name, false) {
            return Served::OnceEnabled;
        }
        self.catalogue.gap(origin).map_or(Served::Never, Served::Perhaps)
    }

    /// Whether a provider takes the name, or is named in it and takes the rest.
    fn leads_to(&self, name: &str, is_enabled: bool) -> bool {
        let index = if is_enabled { &self.enabled } else { &self.disabled };
        let named = || {
            let (provider, rest) = name.split_once('/')?;
            Some(takes(self.catalogue.named(provider, is_enabled)?, rest))
        };
        index.holds(name) || named().unwrap_or(false)
    }

    /// The names, patterns apart, that enabled providers map.
    pub(super) fn exact_names(&self) -> impl Iterator<Item = &'c str> {
        self.enabled.exact.iter().copied()
    }
}

fn takes(provider: &Provider, name: &str) -> bool {
    provider.model_mapping.is_empty() || provider.model_mapping.iter().any(|entry| entry.public.matches(name))
}

/// The public names of some providers.
#[derive(Default)]
struct Index<'c> {
    exact: HashSet<&'c str>,
    /// By the text before the first `*`.
    patterns: HashMap<&'c str, Vec<&'c ModelPattern>>,
    /// Whether one of them takes every name.
    takes_any: bool,
}

impl<'c> Index<'c> {
    fn of(providers: &'c [Provider]) -> Self {
        let names = providers.iter().map(|provider| provider.model_mapping.len()).sum();
        let mut index = Self { exact: HashSet::with_capacity(names), ..Self::default() };
        for provider in providers {
            index.takes_any |= provider.model_mapping.is_empty();
            for public in provider.model_mapping.iter().map(|entry| &entry.public) {
                match public.as_str().split_once('*') {
                    None => _ = index.exact.insert(public.as_str()),
                    Some((prefix, _)) => index.patterns.entry(prefix).or_default().push(public),
                }
            }
        }
        for patterns in index.patterns.values_mut() {
            patterns.sort_unstable_by_key(|pattern| pattern.as_str());
            patterns.dedup();
        }
        index
    }

    fn holds(&self, name: &str) -> bool {
        let fits = |end| self.patterns.get(&name[..end]).is_some_and(|it| it.iter().any(|it| it.matches(name)));
        let ends = || name.char_indices().map(|(at, _)| at).chain([name.len()]);
        self.takes_any || self.exact.contains(name) || (!self.patterns.is_empty() && ends().any(fits))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The index is the same as asking every pattern.
        #[test]
        fn an_index_misses_nothing(
            patterns in prop::collection::vec("[ab模*]{0,4}", 1..6),
            name in "[ab模]{0,5}",
        ) {
            let patterns: Vec<_> = patterns.iter().map(|pattern| ModelPattern::new(pattern)).collect();
            let list: Vec<String> = patterns.iter().map(|pattern| format!("{:?}: '*'", pattern.as_str())).collect();
            let yaml = format!("providers: [{{ name: a, model_mapping: {{ {} }} }}]", list.join(", "));
            // A repeated or an empty name is refused, and is no name that anybody is asked for.
            if let Ok(config) = crate::Config::from_yaml(&yaml) {
                let expected = patterns.iter().any(|pattern| pattern.matches(&name));
                prop_assert_eq!(Index::of(&config.providers).holds(&name), expected);
            }
        }
    }
}
