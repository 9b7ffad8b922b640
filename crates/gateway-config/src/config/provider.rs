//! `providers`, resolved.

use gateway_call::ModelPattern;
use gateway_ratelimit::Price;
use gateway_secret::Secret;
use gateway_upstream::Timeouts;
use jiff::Timestamp;

use super::HealthCheck;

/// One upstream account.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Unique among providers.
    pub name: String,
    /// The registered name of the protocol it speaks, such as `openai`.
    pub kind: String,
    /// Where it is.
    pub endpoint: ProviderEndpoint,
    /// The keys to present to it, first choice first and none twice; at most 64; empty for an upstream without
    /// authentication.
    pub api_keys: Vec<Secret>,
    /// Its share among providers of the same model; at least 1.
    pub weight: u32,
    /// Public names to upstream names, in file order; empty means any name, unchanged.
    pub model_mapping: Vec<Mapping>,
    /// The most requests that it is sent at once; `None` if that is not limited.
    pub max_in_flight: Option<u32>,
    /// Headers added to every request.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Names of caller headers let through besides the standard list.
    pub forward_headers: Vec<http::HeaderName>,
    /// Whether its certificate is checked.
    pub verify_ssl: bool,
    /// Its timeouts, defaults filled in.
    pub timeouts: Timeouts,
    /// How it is asked in the background whether it answers, defaults filled in; `None` if it is not. Never for one written
    /// inline in a model.
    pub health_check: Option<HealthCheck>,
    /// Whether the provider takes calls by name resolution; false for one written inline in a model.
    pub resolvable: bool,
    /// Whether it takes calls at all; false only in [`Config::disabled_providers`](super::Config::disabled_providers).
    pub enabled: bool,
    /// Where it was written.
    pub origin: Origin,
}

/// How the URL of a request to a provider is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderEndpoint {
    /// An API base, such as `https://api.openai.com/v1`; the endpoint's path is appended. No trailing slash.
    Base(http::Uri),
    /// One complete URL that serves every call.
    Complete(http::Uri),
    /// The simulator inside this binary.
    Simulator {
        /// Its API base; none before whoever runs it has said where it listens.
        at: Option<http::Uri>,
    },
}

/// One entry of a provider's model mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The public name or pattern.
    pub public: ModelPattern,
    /// The upstream's name; `None` keeps the caller's.
    pub upstream: Option<String>,
    /// What it costs; zero if nothing is said.
    pub price: Price,
}

/// Where an entry of the configuration was written, which is where it can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the file, the environment included.
    File,
    /// In the store.
    Store {
        /// When it was made.
        created_at: Timestamp,
        /// When it was last changed.
        updated_at: Timestamp,
    },
}
