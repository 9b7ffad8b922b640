//! What a simulator is told. Everything about answers can also be said in the model's name, so most need nothing.

use std::collections::BTreeMap;

/// Where a simulator listens and how its models behave.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// `host:port`; port 0 takes a free one.
    pub address: String,
    /// If set, requests must carry it as `Authorization: Bearer <key>`, or are answered 401.
    pub key: Option<String>,
    /// Behaviours by model name, in the grammar of [`Behaviour`](crate::Behaviour) (`latency=200ms&frame=20ms`); what
    /// the requested name says itself comes on top. Any other model is served too, with the defaults.
    pub models: BTreeMap<String, String>,
}

impl Default for SimulatorConfig {
    /// A free port of 127.0.0.1, no key, no configured models.
    fn default() -> Self {
        Self { address: String::from("127.0.0.1:0"), key: None, models: BTreeMap::new() }
    }
}

impl SimulatorConfig {
    /// The default configuration at another address.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: address.into(), ..Self::default() }
    }
}
