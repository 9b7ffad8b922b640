//! `models`, resolved.

use std::time::Duration;

use gateway_upstream::Timeouts;

use super::Origin;

/// What a public model name means.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The public name.
    pub name: String,
    /// Its targets; empty means every provider that maps the name.
    pub targets: Vec<ModelTarget>,
    /// The registered name of the balancing policy.
    pub balance: String,
    /// Attempts beyond the first, if the model says so itself; else `max_retries` of [`Config::retry`](super::Config::retry).
    pub max_retries: Option<u32>,
    /// The models to go on with when this one fails, in order, each once and never this one, without the prefix.
    pub fallback_models: Vec<String>,
    /// Whether a slow answer is raced by another attempt; `None` means never.
    pub hedge: Option<Hedge>,
    /// Whether calls that share something go to the same target; `None` means that `balance` alone decides.
    pub affinity: Option<Affinity>,
    /// Timeouts that differ from the provider's.
    pub timeouts: TimeoutOverrides,
    /// Whether answers are rewritten, if the model says so itself.
    pub rewrite_response: Option<bool>,
    /// Where it was written.
    pub origin: Origin,
}

/// One way to serve a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelTarget {
    /// The index in [`Config::providers`](super::Config::providers).
    pub provider: usize,
    /// The upstream's name for the model.
    pub upstream_model: String,
    /// The share among the targets; at least 1.
    pub weight: u32,
    /// The tier under the balancing policy `priority`, lower first; 1 if nothing is said. Other policies do not look.
    pub priority: u32,
}

/// An attempt at another target beside one whose first content is late.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedge {
    /// How late is late.
    pub after: HedgeDelay,
    /// The most attempts beside the first; 1 to 3.
    pub max: u32,
}

/// How long the first content of an answer may take before a hedge starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HedgeDelay {
    /// Always the same; longer than zero.
    Fixed(Duration),
    /// As long as this share of the target's recent answers took; 0.5 to 0.99.
    Quantile(f64),
}

/// What calls share that go to the same target, so that its prompt cache serves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// The conversation, as the caller names it.
    Session,
    /// The beginning of the prompt.
    PromptPrefix,
}

/// Timeouts where set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    /// See [`Timeouts::connect`].
    pub connect: Option<Duration>,
    /// See [`Timeouts::headers`].
    pub headers: Option<Duration>,
    /// See [`Timeouts::first_token`].
    pub first_token: Option<Duration>,
    /// See [`Timeouts::idle`].
    pub idle: Option<Duration>,
    /// See [`Timeouts::total`].
    pub total: Option<Duration>,
}

impl TimeoutOverrides {
    /// The base with everything that is set here instead.
    pub fn over(self, base: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(base.connect),
            headers: self.headers.unwrap_or(base.headers),
            first_token: self.first_token.unwrap_or(base.first_token),
            idle: self.idle.unwrap_or(base.idle),
            total: self.total.unwrap_or(base.total),
        }
    }
}
