//! `retry`, its older form `retry_config`, and `circuit_breaker`: read and checked, not acted on yet.

use crate::fields::{Fields, refuse_rivals};

/// Retries beyond this only multiply the load on upstreams that are already in trouble.
pub(super) const MAX_RETRIES: u64 = 20;

pub(super) fn read(root: &mut Fields<'_>) {
    read_retry(root);
    if let Some(mut fields) = root.take_not_in_force("circuit_breaker").and_then(|item| item.fields()) {
        read_circuit_breaker(&mut fields);
        fields.finish();
    }
}

fn read_retry(root: &mut Fields<'_>) {
    let current = root.take("retry");
    let older = root.take_older("retry_config");
    refuse_rivals([&current, &older]);
    let Some(item) = current.or(older) else { return };
    item.report().note_not_in_force(item.path());
    let Some(mut fields) = item.fields() else { return };
    if let Some(item) = fields.take("max_retries") {
        item.integer::<u32>(0..=MAX_RETRIES);
    }
    for delay in ["base_delay", "max_delay", "max_retry_after"] {
        fields.duration(delay);
    }
    if let Some(mut budget) = fields.take("budget").and_then(|item| item.fields()) {
        if let Some(item) = budget.take("ratio") {
            item.number(0.0..=1.0);
        }
        if let Some(item) = budget.take("min_per_second") {
            item.number(0.0..=f64::INFINITY);
        }
        budget.finish();
    }
    fields.finish();
}

fn read_circuit_breaker(fields: &mut Fields<'_>) {
    for count in ["consecutive_failures", "min_requests", "half_open_probes"] {
        if let Some(item) = fields.take(count) {
            item.integer::<u32>(1..=1_000_000);
        }
    }
    if let Some(item) = fields.take("failure_ratio") {
        item.number(0.01..=1.0);
    }
    for duration in ["window", "open", "max_open"] {
        fields.positive_duration(duration);
    }
}
