//! `model_mapping`: public names to upstream names, with prices.

use gateway_call::ModelPattern;

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
    Some(Mapping { public, upstream: None })
}

fn read_entry(public: &str, value: &Item<'_>) -> Option<Mapping> {
    if public.is_empty() {
        value.refuse("the public name is empty");
    }
    let upstream = if value.is_text() || value.is_absent() { value.name(EXPECTED) } else { read_priced(value) };
    let upstream = match upstream? {
        "*" => None,
        name if name.contains('*') => {
            value.refuse_text(name, "a name without `*`, or `*` alone to keep the name");
            None
        }
        name => Some(name.to_owned()),
    };
    Some(Mapping { public: ModelPattern::new(public), upstream })
}

/// Reads the long form. Without `mapped_model` the name stays as it is.
fn read_priced<'a>(item: &Item<'a>) -> Option<&'a str> {
    let mut fields = item.fields()?;
    let upstream = fields.take("mapped_model").map_or(Some("*"), |item| item.name(EXPECTED));
    read_price(&mut fields, "input_cost_per_1k_tokens", "input_cost_per_million_tokens");
    read_price(&mut fields, "output_cost_per_1k_tokens", "output_cost_per_million_tokens");
    fields.finish();
    upstream
}

fn read_price(fields: &mut Fields<'_>, per_thousand: &'static str, per_million: &'static str) {
    let prices = [fields.take(per_thousand), fields.take(per_million)];
    refuse_rivals([&prices[0], &prices[1]]);
    for price in prices.into_iter().flatten() {
        price.number(0.0..=f64::INFINITY);
    }
}
