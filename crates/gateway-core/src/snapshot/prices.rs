//! What models cost at a provider, as far as its mapping says so.

use std::collections::HashMap;

use gateway_call::ModelPattern;
use gateway_config::Mapping;
use gateway_ratelimit::Price;

/// The prices of one provider, looked up by name but for those of patterns. Of several that stand for the same, the first counts.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    /// By what the provider calls the model.
    by_upstream: HashMap<String, Price>,
    /// By the public name.
    by_public: HashMap<String, Price>,
    patterns: Vec<(ModelPattern, Price)>,
}

impl Prices {
    /// Those of a mapping. A model that is said to cost nothing is one of which nothing is said.
    pub(super) fn of(mapping: &[Mapping]) -> Self {
        let entries = mapping.iter().filter(|it| it.price != Price::default());
        let count = entries.clone().count();
        let mut prices = Self {
            by_upstream: HashMap::with_capacity(count),
            by_public: HashMap::with_capacity(count),
            patterns: Vec::new(),
        };
        for Mapping { public, upstream, price } in entries {
            if let Some(upstream) = upstream {
                prices.by_upstream.entry(upstream.clone()).or_insert(*price);
            }
            if public.is_exact() {
                prices.by_public.entry(public.as_str().to_owned()).or_insert(*price);
            } else {
                prices.patterns.push((public.clone(), *price));
            }
        }
        prices
    }

    /// What a model costs: what is said of the name that it is asked for by, or of its public name. Nothing if nothing is said.
    pub(crate) fn price(&self, public: &str, upstream: &str) -> Price {
        let named = self.by_upstream.get(upstream).or_else(|| self.by_public.get(public));
        let matched = || self.patterns.iter().find(|(pattern, _)| pattern.matches(public)).map(|(_, price)| price);
        named.or_else(matched).copied().unwrap_or_default()
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
