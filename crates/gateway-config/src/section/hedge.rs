//! `models.*.hedge`: when a slow answer is raced by another attempt.

use crate::config::{Hedge, HedgeDelay};
use crate::item::Item;
use crate::unit;

const EXPECTED: &str = "a duration such as 800ms, or a percentile of the recent times to the first content, p50 to p99";
/// One attempt beside the first takes most of the tail away (Dean and Barroso, "The Tail at Scale", 2013).
const DEFAULT_MAX: u32 = 1;

/// Reads the hedge of a model with so many targets, 0 if the providers' mappings say where it is served.
pub(super) fn read(item: &Item<'_>, targets: usize) -> Option<Hedge> {
    let mut fields = item.fields()?;
    let after = fields.require("after").and_then(|item| read_delay(&item));
    let max = fields.take("max").map_or(Some(DEFAULT_MAX), |item| item.integer(1..=3));
    fields.finish();
    if targets == 1 {
        item.warn("without effect, because a hedge goes to another target and the model has only one");
    }
    Some(Hedge { after: after?, max: max? })
}

fn read_delay(item: &Item<'_>) -> Option<HedgeDelay> {
    let text = item.scalar(EXPECTED)?;
    let Some(percentile) = text.strip_prefix('p') else {
        let delay = item.quantity(EXPECTED, unit::duration)?;
        if delay.is_zero() {
            item.refuse("found zero, expected a duration longer than that");
            return None;
        }
        return Some(HedgeDelay::Fixed(delay));
    };
    let percentile: Option<u8> = percentile.parse().ok().filter(|percentile| (50..=99).contains(percentile));
    if percentile.is_none() {
        item.refuse_text(text, EXPECTED);
    }
    percentile.map(|percentile| HedgeDelay::Quantile(f64::from(percentile) / 100.0))
}
