//! Calls: how many, how long, how many at once, and what the gateway itself took.

use std::fmt;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{CountArrival, CountCall, Family};
use crate::metrics::call::CallKind;
use crate::metrics::exposition::{Exposition, Heading};
use crate::metrics::name::Value;
use crate::metrics::table::Table;
use crate::metrics::{Readings, buckets};

pub(super) struct Requests {
    settled: Table<6, Counter>,
    durations: Table<3, Histogram>,
    active: Table<1, Gauge>,
    overheads: Table<1, Histogram>,
}

impl Requests {
    pub(super) fn new() -> Self {
        let requests = ["method", "endpoint", "model", "provider", "status_code", "api_key_name"];
        Self {
            settled: Table::new(requests, Counter::default),
            durations: Table::new(["endpoint", "model", "provider"], buckets::call),
            active: Table::new(["endpoint"], Gauge::default),
            overheads: Table::new(["endpoint"], buckets::overhead),
        }
    }
}

impl Family for Requests {
    fn arrival(&self, endpoint: &Value) -> Option<CountArrival> {
        let active = self.active.series([endpoint.clone()]);
        Some(Box::new(move || {
            active.inc();
        }))
    }

    fn call(&self, kind: &CallKind) -> Option<CountCall> {
        let CallKind { api_key, model, provider, method, endpoint, .. } = kind;
        let of_target = [endpoint, model, provider].map(Clone::clone);
        let [endpoint, model, provider] = of_target.clone();
        let (active, overhead) = (self.active.series([endpoint.clone()]), self.overheads.series([endpoint.clone()]));
        let requests = [method.clone(), endpoint, model, provider, Value::Status(kind.status), api_key.clone()];
        let (requests, duration) = (self.settled.series(requests), self.durations.series(of_target));
        Some(Box::new(move |call| {
            active.dec();
            requests.inc();
            duration.observe(call.duration.as_secs_f64());
            overhead.observe(call.overhead.as_secs_f64());
        }))
    }

    fn encode(&self, out: &mut Exposition<'_>, _: &Readings) -> fmt::Result {
        let requests = Heading { name: "requests", help: "Calls that were settled, however they ended" };
        out.counters(&requests, self.settled.rows().map(|(labels, count)| (labels, count.get())))?;
        let duration =
            Heading { name: "request_duration_seconds", help: "Time from a request's head to its answer's end" };
        out.histograms(&duration, self.durations.rows())?;
        let active = Heading { name: "active_requests", help: "Calls that have arrived and are not settled" };
        out.gauges(&active, self.active.rows().map(|(labels, level)| (labels, level.get())))?;
        let overhead =
            Heading { name: "overhead_seconds", help: "Time spent in the gateway itself until the answer's head left" };
        out.histograms(&overhead, self.overheads.rows())
    }
}
