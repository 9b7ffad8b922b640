//! `retry`, and its older form `retry_config`: how often and when a call tries again.

use gateway_resilience::{Backoff, BudgetPolicy, RetryPolicy};

use super::ceiling::{self, Bound};
use crate::fields::{Fields, refuse_rivals};

/// Retries beyond this only multiply the load on upstreams that are already in trouble.
const MAX_RETRIES: u64 = 20;
/// A floor above this many retries a second is no budget.
const MAX_PER_SECOND: f64 = 1_000_000.0;

pub(super) fn read(root: &mut Fields<'_>) -> (RetryPolicy, BudgetPolicy) {
    let current = root.take("retry");
    let older = root.take_older("retry_config");
    refuse_rivals([&current, &older]);
    let (default, mut budget) = (RetryPolicy::default(), BudgetPolicy::default());
    let Some(mut fields) = current.or(older).and_then(|item| item.fields()) else { return (default, budget) };
    let retry = RetryPolicy {
        max_retries: read_max_retries(&mut fields).unwrap_or(default.max_retries),
        backoff: read_backoff(&mut fields),
        max_retry_after: fields.duration("max_retry_after").unwrap_or(default.max_retry_after),
    };
    if let Some(mut fields) = fields.take("budget").and_then(|item| item.fields()) {
        budget = read_budget(&mut fields);
        fields.finish();
    }
    fields.finish();
    (retry, budget)
}

/// Reads `max_retries`, here or in a model.
pub(super) fn read_max_retries(fields: &mut Fields<'_>) -> Option<u32> {
    fields.take("max_retries").and_then(|item| item.integer(0..=MAX_RETRIES))
}

fn read_backoff(fields: &mut Fields<'_>) -> Backoff {
    let default = Backoff::default();
    let base = Bound { key: "base_delay", given: fields.duration("base_delay"), default: default.base };
    let max = Bound { key: "max_delay", given: fields.duration("max_delay"), default: default.max };
    ceiling::check(fields, base, max);
    Backoff { base: base.value(), max: max.value() }
}

fn read_budget(fields: &mut Fields<'_>) -> BudgetPolicy {
    let default = BudgetPolicy::default();
    let ratio = fields.take("ratio").and_then(|item| item.number(0.0..=1.0));
    let min_per_second = fields.take("min_per_second").and_then(|item| item.number(0.0..=MAX_PER_SECOND));
    BudgetPolicy {
        ratio: ratio.unwrap_or(default.ratio),
        min_per_second: min_per_second.unwrap_or(default.min_per_second),
    }
}
