//! How streamed answers flow.

use std::fmt;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::{CountCall, Family};
use crate::metrics::call::{CallKind, Feature, token_rate};
use crate::metrics::exposition::{Exposition, Heading};
use crate::metrics::table::Table;
use crate::metrics::{Readings, buckets};

pub(super) struct Streams {
    first_bytes: Table<2, Histogram>,
    rates: Table<2, Histogram>,
}

impl Streams {
    pub(super) fn new() -> Self {
        let labels = ["model", "provider"];
        Self { first_bytes: Table::new(labels, buckets::call), rates: Table::new(labels, buckets::token_rate) }
    }
}

impl Family for Streams {
    fn call(&self, kind: &CallKind) -> Option<CountCall> {
        if !kind.features.has(Feature::Streamed) {
            return None;
        }
        let labels = [kind.model.clone(), kind.provider.clone()];
        let rate = kind.features.has(Feature::Flowed).then(|| self.rates.series(labels.clone()));
        let first_byte = self.first_bytes.series(labels);
        Some(Box::new(move |call| {
            first_byte.observe(call.first_byte.map_or(0.0, |after: Duration| after.as_secs_f64()));
            if let (Some(rate), Some(value)) = (&rate, token_rate(call)) {
                rate.observe(value);
            }
        }))
    }

    fn encode(&self, out: &mut Exposition<'_>, _: &Readings) -> fmt::Result {
        let first_byte = Heading {
            name: "ttft_seconds",
            help: "Time from a request's head to the first byte of its answer, of streams",
        };
        out.histograms(&first_byte, self.first_bytes.rows())?;
        let rate = Heading {
            name: "tokens_per_second",
            help: "Tokens of a streamed answer by the time from its first byte to its last, unless it came in one piece",
        };
        out.histograms(&rate, self.rates.rows())
    }
}
