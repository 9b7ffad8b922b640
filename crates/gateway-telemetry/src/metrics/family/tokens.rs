//! What calls took and cost.

use std::fmt;

use prometheus_client::metrics::counter::Counter;

use super::{CountCall, Family};
use crate::metrics::Readings;
use crate::metrics::call::{CallKind, Feature};
use crate::metrics::exposition::{Exposition, Heading};
use crate::metrics::name::Value;
use crate::metrics::table::Table;

/// A count of billionths comes to the exact sum, where one of fractions would add up their errors.
const NANO_USD: f64 = 1e9;

#[expect(clippy::cast_precision_loss, reason = "exact to nine million dollars")]
fn usd(nano: &Counter) -> f64 {
    nano.get() as f64 / NANO_USD
}

pub(super) struct TokenCounts {
    tokens: Table<4, Counter>,
    estimated: Table<2, Counter>,
    /// In billionths of a US dollar.
    cost: Table<3, Counter>,
}

impl TokenCounts {
    pub(super) fn new() -> Self {
        Self {
            tokens: Table::new(["model", "provider", "token_type", "api_key_name"], Counter::default),
            estimated: Table::new(["model", "provider"], Counter::default),
            cost: Table::new(["model", "provider", "api_key_name"], Counter::default),
        }
    }
}

impl Family for TokenCounts {
    fn call(&self, kind: &CallKind) -> Option<CountCall> {
        let CallKind { api_key, model, provider, features, .. } = kind;
        if !features.has(Feature::Tokens) {
            return None;
        }
        let of_type =
            |name| self.tokens.series([model.clone(), provider.clone(), Value::Constant(name), api_key.clone()]);
        let [prompt, completion, total, cached] = ["prompt", "completion", "total", "cached"].map(of_type);
        let is_estimated = features.has(Feature::Estimated);
        let estimated = is_estimated.then(|| self.estimated.series([model.clone(), provider.clone()]));
        let is_priced = features.has(Feature::Priced);
        let cost = is_priced.then(|| self.cost.series([model.clone(), provider.clone(), api_key.clone()]));
        Some(Box::new(move |call| {
            let Some(tokens) = call.tokens else { return };
            prompt.inc_by(tokens.usage.prompt);
            completion.inc_by(tokens.usage.completion);
            total.inc_by(tokens.usage.total());
            cached.inc_by(tokens.usage.cached);
            if let Some(estimated) = &estimated {
                estimated.inc();
            }
            if let Some(cost) = &cost {
                cost.inc_by(call.cost_nano_usd);
            }
        }))
    }

    fn encode(&self, out: &mut Exposition<'_>, _: &Readings) -> fmt::Result {
        let tokens = Heading { name: "tokens", help: "Tokens that calls took" };
        out.counters(&tokens, self.tokens.rows().map(|(labels, count)| (labels, count.get())))?;
        let estimated = Heading {
            name: "estimated_requests",
            help: "Calls of whose tokens some are the gateway's estimate, as their upstream reported none or not all",
        };
        out.counters(&estimated, self.estimated.rows().map(|(labels, count)| (labels, count.get())))?;
        let cost =
            Heading { name: "cost_usd", help: "What calls cost by the prices of the configuration, in US dollars" };
        out.counters(&cost, self.cost.rows().map(|(labels, nano)| (labels, usd(&nano))))
    }
}
