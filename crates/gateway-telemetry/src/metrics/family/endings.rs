//! Answers that did not get to their end.

use std::fmt;

use prometheus_client::metrics::counter::Counter;

use super::{CountCall, Family};
use crate::metrics::Readings;
use crate::metrics::call::{CallKind, Feature};
use crate::metrics::exposition::{Exposition, Heading};
use crate::metrics::table::Table;

/// What a call is settled with whose caller left before it had all of the answer, as nginx writes it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

pub(super) struct Endings {
    disconnects: Table<1, Counter>,
    truncated: Table<1, Counter>,
}

impl Endings {
    pub(super) fn new() -> Self {
        Self {
            disconnects: Table::new(["provider"], Counter::default),
            truncated: Table::new(["provider"], Counter::default),
        }
    }
}

impl Family for Endings {
    fn call(&self, kind: &CallKind) -> Option<CountCall> {
        let labels = [kind.provider.clone()];
        let disconnects = (kind.status == CLIENT_CLOSED_REQUEST).then(|| self.disconnects.series(labels.clone()));
        let truncated = kind.features.has(Feature::Truncated).then(|| self.truncated.series(labels));
        let endings: Box<[Counter]> = disconnects.into_iter().chain(truncated).collect();
        (!endings.is_empty()).then(|| -> CountCall {
            Box::new(move |_| {
                for ending in &endings {
                    ending.inc();
                }
            })
        })
    }

    fn encode(&self, out: &mut Exposition<'_>, _: &Readings) -> fmt::Result {
        let disconnects =
            Heading { name: "client_disconnects", help: "Calls whose caller left before it had all of the answer" };
        out.counters(&disconnects, self.disconnects.rows().map(|(labels, count)| (labels, count.get())))?;
        let truncated = Heading {
            name: "truncated_streams",
            help: "Streams that the provider ended before the protocol's own end",
        };
        out.counters(&truncated, self.truncated.rows().map(|(labels, count)| (labels, count.get())))
    }
}
