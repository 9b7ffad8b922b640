//! The state of every provider of the configuration, read when somebody looks.

use std::fmt;

use super::Family;
use crate::metrics::exposition::{Exposition, Heading};
use crate::metrics::{CircuitState, Readings};

pub(super) struct Providers;

impl Family for Providers {
    fn encode(&self, out: &mut Exposition<'_>, readings: &Readings) -> fmt::Result {
        let providers = || readings.providers.iter();
        let health = Heading {
            name: "provider_health",
            help: "1 if calls are sent to the provider and its last health check, if any, went well, else 0",
        };
        out.gauges(&health, providers().map(|it| ([("provider", &*it.name)], u32::from(it.is_healthy))))?;
        let circuit = Heading {
            name: "provider_circuit_state",
            help: "1 for the state of that circuit breaker of the provider's models which is worst off, else 0",
        };
        let states = providers().flat_map(|it| {
            CircuitState::ALL
                .map(|state| ([("provider", &*it.name), ("state", state.name())], u32::from(state == it.circuit)))
        });
        out.gauges(&circuit, states)?;
        let ejections = Heading { name: "provider_ejections", help: "How often the provider was taken out of use" };
        let reasons = providers().flat_map(|it| {
            it.ejections.iter().map(|(reason, count)| ([("provider", &*it.name), ("reason", *reason)], *count))
        });
        out.counters(&ejections, reasons)
    }
}
