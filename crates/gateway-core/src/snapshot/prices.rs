//! What models cost at a provider, as far as its mapping says so.

use std::ops::Range;

use gateway_call::ModelPattern;
use gateway_config::Mapping;
use gateway_ratelimit::Price;

/// The prices of one provider, looked up by name but for those of patterns. Of several that stand for the same, the first counts.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    /// By what the provider calls the model.
    by_upstream: ByName,
    /// By the public name.
    by_public: ByName,
    patterns: Vec<(ModelPattern, Price)>,
}

impl Prices {
    /// Those of a mapping. A model that is said to cost nothing is one of which nothing is said.
    pub(super) fn of(mapping: &[Mapping]) -> Self {
        let entries = mapping.iter().filter(|it| it.price != Price::default());
        let (exact, patterns): (Vec<_>, Vec<_>) = entries.clone().partition(|it| it.public.is_exact());
        let by_upstream = entries.filter_map(|it| Some((it.upstream.as_deref()?, it.price)));
        let by_public = exact.into_iter().map(|it| (it.public.as_str(), it.price));
        Self {
            by_upstream: ByName::of(by_upstream.collect()),
            by_public: ByName::of(by_public.collect()),
            patterns: patterns.into_iter().map(|it| (it.public.clone(), it.price)).collect(),
        }
    }

    /// What a model costs: what is said of the name that it is asked for by, or of its public name. Nothing if nothing is said.
    pub(crate) fn price(&self, public: &str, upstream: &str) -> Price {
        let named = self.by_upstream.get(upstream).or_else(|| self.by_public.get(public));
        let matched = || self.patterns.iter().find(|(pattern, _)| pattern.matches(public)).map(|(_, price)| *price);
        named.or_else(matched).unwrap_or_default()
    }
}

/// Prices in the order of names, all of which stand in one text: a map would be an allocation for each of tens of thousands.
#[derive(Debug, Default)]
struct ByName {
    names: Vec<u8>,
    /// Each with where its name stands.
    prices: Vec<(Range<usize>, Price)>,
}

impl ByName {
    fn of(mut entries: Vec<(&str, Price)>) -> Self {
        // Keeps the order of what has one name, so that the first of it stays.
        entries.sort_by_key(|(name, _)| *name);
        entries.dedup_by_key(|(name, _)| *name);
        let length = entries.iter().map(|(name, _)| name.len()).sum();
        let mut all = Self { names: Vec::with_capacity(length), prices: Vec::with_capacity(entries.len()) };
        for (name, price) in entries {
            let begin = all.names.len();
            all.names.extend_from_slice(name.as_bytes());
            all.prices.push((begin..all.names.len(), price));
        }
        all
    }

    fn get(&self, name: &str) -> Option<Price> {
        let compare = |(place, _): &(Range<usize>, Price)| self.names.get(place.clone()).cmp(&Some(name.as_bytes()));
        let place = self.prices.binary_search_by(compare).ok()?;
        self.prices.get(place).map(|(_, price)| *price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(dollars: f64) -> Price {
        Price::from_usd_per_million(dollars, dollars).unwrap()
    }

    fn mapping(public: &str, upstream: Option<&str>, dollars: f64) -> Mapping {
        Mapping { public: ModelPattern::new(public), upstream: upstream.map(str::to_owned), price: price(dollars) }
    }

    #[test]
    fn the_name_that_is_sent_counts_before_the_public_one_and_that_before_a_pattern() {
        let prices = Prices::of(&[
            mapping("gpt-*", None, 1.0),
            mapping("gpt-4o", Some("gpt-4o-2024"), 2.0),
            mapping("mini", None, 3.0),
            mapping("mini", Some("other"), 4.0),
            mapping("gpt-4*", None, 5.0),
            mapping("gpt-free", Some("free"), 0.0),
        ]);
        for (public, upstream, dollars) in [
            ("anything", "gpt-4o-2024", 2.0),
            ("gpt-4o", "elsewhere", 2.0),
            ("mini", "mini", 3.0),
            ("mini", "other", 4.0),
            ("gpt-4-turbo", "gpt-4-turbo", 1.0),
            ("gpt-free", "free", 1.0),
            ("claude", "claude", 0.0),
        ] {
            assert_eq!(prices.price(public, upstream), price(dollars), "{public} as {upstream}");
        }
    }
}
