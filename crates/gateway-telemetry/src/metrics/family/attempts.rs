//! Attempts at providers, and what made one follow another.
//!
//! A retry stays with a model, a fallback leaves it; either is counted with what had come of the attempt that ended last before it. A
//! hedge, which begins while another attempt is under way, is neither, for it is made because something is slow.

use std::fmt;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::{CountAttempt, Family};
use crate::metrics::attempt::{AttemptKind, Sequel};
use crate::metrics::exposition::{Exposition, Heading};
use crate::metrics::table::Table;
use crate::metrics::{Readings, buckets};

pub(super) struct Attempts {
    outcomes: Table<2, Counter>,
    latencies: Table<1, Histogram>,
    retries: Table<2, Counter>,
    fallbacks: Table<2, Counter>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            outcomes: Table::new(["provider", "outcome"], Counter::default),
            latencies: Table::new(["provider"], buckets::call),
            retries: Table::new(["model", "reason"], Counter::default),
            fallbacks: Table::new(["model", "reason"], Counter::default),
        }
    }
}

impl Family for Attempts {
    fn attempt(&self, kind: &AttemptKind) -> Option<CountAttempt> {
        let AttemptKind { model, provider, outcome, sequel, has_head } = kind;
        let left = || [model.clone(), outcome.clone()];
        let sequel = match sequel {
            Sequel::None => None,
            Sequel::Retried => Some(self.retries.series(left())),
            Sequel::FellBack => Some(self.fallbacks.series(left())),
        };
        let latency = has_head.then(|| self.latencies.series([provider.clone()]));
        let attempts = self.outcomes.series([provider.clone(), outcome.clone()]);
        Some(Box::new(move |attempt| {
            attempts.inc();
            if let (Some(latency), Some(head)) = (&latency, attempt.head) {
                latency.observe(head.as_secs_f64());
            }
            if let Some(sequel) = &sequel {
                sequel.inc();
            }
        }))
    }

    fn encode(&self, out: &mut Exposition<'_>, _: &Readings) -> fmt::Result {
        let attempts = Heading { name: "attempts", help: "Attempts at providers by what came of them" };
        out.counters(&attempts, self.outcomes.rows().map(|(labels, count)| (labels, count.get())))?;
        let latency = Heading {
            name: "provider_latency_seconds",
            help: "Time from the start of an attempt to the head of the provider's answer",
        };
        out.histograms(&latency, self.latencies.rows())?;
        let retries = Heading {
            name: "retries",
            help: "Attempts that tried the same model again, by what had come of it; no hedges",
        };
        out.counters(&retries, self.retries.rows().map(|(labels, count)| (labels, count.get())))?;
        let fallbacks =
            Heading { name: "fallbacks", help: "Attempts that left a model for another, by what had come of it" };
        out.counters(&fallbacks, self.fallbacks.rows().map(|(labels, count)| (labels, count.get())))
    }
}
