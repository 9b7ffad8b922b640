//! `model_mapping`: public names to upstream names, with prices.

use gateway_call::ModelPattern;
use gateway_ratelimit::Price;

use crate::config::Mapping;
use crate::fields::{Fields, refuse_rivals};
use crate::item::Item;

const EXPECTED: &str = "the upstream's name for the model, or `*` to keep the name";

/// Reads a mapping, or a list of names that stay as they are.
pub(super) fn read(item: &Item<'_>) -> Vec<Mapping> {
    if item.is_sequence() {
        return item.items().iter().filter_map(read_kept).collect();
    }
    item.entries().into_iter().filter_map(|(public, value)| read_entry(public, &value)).collect()
}

fn read_kept(item: &Item<'_>) -> Option<Mapping> {
    let public = ModelPattern::new(item.name("the name of a model")?);
    Some(Mapping { public, upstream: None, price: Price::default() })
}

fn read_entry(public: &str, value: &Item<'_>) -> Option<Mapping> {
    if public.is_empty() {
        value.refuse("the public name is empty");
    }
    let is_short = value.is_text() || value.is_absent();
    let (upstream, price) = if is_short { (value.name(EXPECTED), Price::default()) } else { read_priced(value) };
    let upstream = match upstream? {
        "*" => None,
        name if name.contains('*') => {
            value.refuse_text(name, "a name without `*`, or `*` alone to keep the name");
            None
        }
        name => Some(name.to_owned()),
    };
    Some(Mapping { public: ModelPattern::new(public), upstream, price })
}

/// The most that a million tokens may cost, in US dollars. What costs more has its decimal point in the wrong place.
const MAX_PRICE: f64 = 1e6;

/// Reads the long form. Without `mapped_model` the name stays as it is.
fn read_priced<'a>(item: &Item<'a>) -> (Option<&'a str>, Price) {
    let Some(mut fields) = item.fields() else { return (None, Price::default()) };
    let upstream = fields.take("mapped_model").map_or(Some("*"), |item| item.name(EXPECTED));
    let input = read_price(&mut fields, "input_cost_per_1k_tokens", "input_cost_per_million_tokens");
    let output = read_price(&mut fields, "output_cost_per_1k_tokens", "output_cost_per_million_tokens");
    fields.finish();
    // Both numbers were read within its range.
    (upstream, Price::from_usd_per_million(input, output).unwrap_or_default())
}

/// Reads a price in US dollars for a million tokens.
fn read_price(fields: &mut Fields<'_>, per_thousand: &'static str, per_million: &'static str) -> f64 {
    let prices = [fields.take(per_thousand), fields.take(per_million)];
    refuse_rivals([&prices[0], &prices[1]]);
    let [thousand, million] = prices;
    let thousand = thousand.and_then(|item| item.number(0.0..=MAX_PRICE / 1000.0)).map(|price| price * 1000.0);
    thousand.or_else(|| million?.number(0.0..=MAX_PRICE)).unwrap_or(0.0)
}
