//! The names that a configuration may use for parts which are registered elsewhere.
//!
//! Which protocols and policies exist is for their registries to say, an embedder's additions included. A configuration
//! is checked against those names, so that a misspelt one is reported with its position like any other error.

/// The names of the registered parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// What a provider's `type` may be, besides `simulator`.
    pub protocols: Vec<&'static str>,
    /// What a model's `balance` may be.
    pub policies: Vec<&'static str>,
}

impl Default for Vocabulary {
    /// The built-in parts.
    fn default() -> Self {
        Self {
            protocols: gateway_protocol::builtin().names().collect(),
            policies: gateway_routing::builtin().names().collect(),
        }
    }
}
