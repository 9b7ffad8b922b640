//! Calls that were refused by what an operator turns.

use std::fmt;

use gateway_call::RefusedBy;
use prometheus_client::metrics::counter::Counter;

use super::{CountCall, Family};
use crate::metrics::Readings;
use crate::metrics::call::CallKind;
use crate::metrics::exposition::{Exposition, Heading};
use crate::metrics::name::Value;
use crate::metrics::table::Table;

pub(super) struct Refusals {
    limited: Table<2, Counter>,
    shed: Counter,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { limited: Table::new(["api_key_name", "limit"], Counter::default), shed: Counter::default() }
    }
}

impl Family for Refusals {
    fn call(&self, kind: &CallKind) -> Option<CountCall> {
        let refused = match kind.refused_by? {
            RefusedBy::Limit(limit) => self.limited.series([kind.api_key.clone(), Value::Constant(limit)]),
            RefusedBy::Room => self.shed.clone(),
        };
        Some(Box::new(move |_| {
            refused.inc();
        }))
    }

    fn encode(&self, out: &mut Exposition<'_>, _: &Readings) -> fmt::Result {
        let limited = Heading { name: "rate_limited", help: "Calls that a limit of their key refused" };
        out.counters(&limited, self.limited.rows().map(|(labels, count)| (labels, count.get())))?;
        let shed = Heading { name: "shed", help: "Calls that were refused because the process had no room for them" };
        out.counter(&shed, self.shed.get())
    }
}
