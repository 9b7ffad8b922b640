//! `circuit_breaker`: when a target that fails is left alone, and for how long.

use gateway_resilience::BreakerPolicy;

use super::ceiling::{self, Bound};
use crate::fields::Fields;

pub(super) fn read(root: &mut Fields<'_>) -> BreakerPolicy {
    let default = BreakerPolicy::default();
    let Some(mut fields) = root.take("circuit_breaker").and_then(|item| item.fields()) else { return default };
    let failure_ratio = |fields: &mut Fields<'_>| fields.take("failure_ratio")?.number(0.01..=1.0);
    let policy = BreakerPolicy {
        consecutive_failures: count(&mut fields, "consecutive_failures").unwrap_or(default.consecutive_failures),
        failure_ratio: failure_ratio(&mut fields).unwrap_or(default.failure_ratio),
        min_requests: count(&mut fields, "min_requests").unwrap_or(default.min_requests),
        window: fields.positive_duration("window").unwrap_or(default.window),
        half_open_probes: count(&mut fields, "half_open_probes").unwrap_or(default.half_open_probes),
        ..default
    };
    let open = Bound { key: "open", given: fields.positive_duration("open"), default: default.open };
    let max_open = Bound { key: "max_open", given: fields.positive_duration("max_open"), default: default.max_open };
    ceiling::check(&fields, open, max_open);
    fields.finish();
    BreakerPolicy { open: open.value(), max_open: max_open.value(), ..policy }
}

fn count(fields: &mut Fields<'_>, key: &'static str) -> Option<u32> {
    fields.take(key)?.integer(1..=1_000_000)
}
