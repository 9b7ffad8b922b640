//! The resolved configuration: what a file means once every reference, unit and default is settled.
//!
//! Nothing here can be read from or written to a file; the raw sections under `section/` are the file's shape, and
//! resolving them is the only way to make a [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gateway_resilience::{BreakerPolicy, BudgetPolicy, RetryPolicy};
use gateway_secret::{KeyDigester, Secret};
use gateway_upstream::Timeouts;

mod health_check;
mod master_key;
mod model;
mod provider;

pub use health_check::{HealthCheck, HealthCheckDefaults};
pub use master_key::{KeyMaterial, MasterKey};
pub use model::{Affinity, Hedge, HedgeDelay, Model, ModelTarget, TimeoutOverrides};
pub use provider::{Mapping, Origin, Provider, ProviderEndpoint};

/// A complete configuration, valid in itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The callers' listener and its limits.
    pub server: Server,
    /// Where calls may go: the file's providers in its order, the store's by name, and then those that models have inline.
    pub providers: Vec<Provider>,
    /// Providers that are switched off, in the same order: known and not served.
    pub disabled_providers: Vec<Provider>,
    /// What public model names mean beyond the providers' mappings: the file's in its order, then the store's by name.
    pub models: Vec<Model>,
    /// Names of models that cannot be served as somebody wants them to be, sorted: models of the store that are left out, and
    /// models whose every target is at a provider that is missing or left out. Calls to them go to
    /// their fallback models or are refused, but never to whoever else maps the name: a model's targets may be there to say who
    /// may see its prompts.
    pub withheld_models: Vec<String>,
    /// Whether a store has not been read yet that may say more. Until then a name that only a pattern takes, or a provider that
    /// takes any name, may be that of a model in the store, so nobody serves it.
    pub awaits_store: bool,
    /// Whether providers' certificates are checked; a provider may say otherwise.
    pub verify_ssl: bool,
    /// The timeouts of providers; each may have its own, and a model its own again.
    pub timeouts: Timeouts,
    /// How often and when a call tries again; a model may have its own number of retries.
    pub retry: RetryPolicy,
    /// What each provider bears of retries, as a share of its traffic.
    pub retry_budget: BudgetPolicy,
    /// When a target that fails is left alone, and for how long.
    pub circuit_breaker: BreakerPolicy,
    /// What holds for the health checks of providers that do not say otherwise; each has its own filled in.
    pub health_check: HealthCheckDefaults,
    /// The keys that callers may present.
    pub master_keys: Vec<MasterKey>,
    /// Whether callers must present a key.
    pub auth: Auth,
    /// The prefix that callers may put before any model name, without its slash.
    pub provider_suffix: Option<String>,
    /// The index in `providers` of the one that gets `/v1` paths which the gateway does not know.
    pub passthrough: Option<usize>,
    /// Whether answers are rewritten to say who served; a model may say otherwise.
    pub rewrite_response: bool,
    /// Who may administer the gateway, and where.
    pub admin: Admin,
    /// Where keys are kept that outlive the process and that are not in the file.
    pub store: Store,
    /// Where limits are counted for several gateways together.
    pub redis: Option<Redis>,
    /// How the process logs.
    pub logging: Logging,
}

/// The callers' listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The host to bind, a name or an address.
    pub host: String,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
    /// Whether other processes of the same user may listen at the same address, so that one can take over from another.
    pub reuse_port: bool,
    /// Worker threads; `None` means one per core of the process's quota.
    pub workers: Option<usize>,
    /// The largest request body, in bytes.
    pub max_body: u64,
    /// The most calls that are served at once.
    pub max_in_flight: u32,
    /// Where further calls wait for their turn.
    pub queue: Queue,
    /// Where the process keeps what it needs to start while its store cannot be reached.
    pub state_dir: Option<PathBuf>,
    /// Until a request's head is complete.
    pub header_timeout: Duration,
    /// Between two parts of a request's body.
    pub body_timeout: Duration,
    /// How long calls in flight may go on after a signal to stop.
    pub drain_timeout: Duration,
    /// Certificate and key, if the listener speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Cross-origin rules; without them no CORS header is sent.
    pub cors: Option<Cors>,
}

/// Where calls wait for their turn when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait; 0 if none may.
    pub size: usize,
    /// How long one may wait.
    pub timeout: Duration,
}

/// Paths of PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Cross-origin rules (Fetch Standard, section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins that may read answers; `None` means any.
    pub allowed_origins: Option<Vec<String>>,
    /// Request headers that a browser may send; `None` means any.
    pub allowed_headers: Option<Vec<String>>,
    /// How long a browser may remember a preflight.
    pub max_age: Duration,
}

/// The administrator's access.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admin {
    /// The key; without one the Admin API is switched off.
    pub key: Option<Secret>,
    /// The address of a listener of its own; `None` if it shares the callers'.
    pub listen: Option<SocketAddr>,
}

/// Where keys are kept that are not in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Where it is.
    pub place: StorePlace,
    /// What digests of keys are made with besides the key.
    pub key_pepper: Option<Secret>,
    /// What the secrets of providers are sealed with there: one key or several, separated by commas, of which the first seals
    /// and all open.
    pub encryption_key: Option<Secret>,
}

impl Store {
    /// What digests of keys are made with, on the path of calls and wherever keys are stored.
    pub fn digester(&self) -> KeyDigester {
        self.key_pepper.as_ref().map_or_else(KeyDigester::default, KeyDigester::peppered)
    }
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// Nowhere: keys are those of the file.
    Nowhere,
    /// Nothing was said: a file in the working directory, if it is there or the Admin API needs it.
    Default(PathBuf),
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// In the PostgreSQL database of this URL, which may hold a password.
    Postgres(Secret),
}

/// Limits that several gateways share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it is; may hold a password.
    pub url: Secret,
    /// What all its keys there begin with; the usual if it is not given.
    pub prefix: Option<String>,
    /// What happens to calls that cannot be counted there.
    pub on_error: OnRedisError,
    /// How long a decision waits for it; the usual time if it is not given.
    pub timeout: Option<Duration>,
}

/// What happens to calls while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRedisError {
    /// Each gateway counts for itself, to its share of the limits.
    Local,
    /// They are refused.
    Deny,
}

/// Whether callers must present a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Every call needs a key.
    Required,
    /// No key is looked at; every model is allowed.
    None,
}

/// How the process logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logging {
    /// The shape of a line.
    pub format: LogFormat,
    /// Whether calls write lines.
    pub access: bool,
    /// The share of calls without an error that do, 0 to 1; those with one always do.
    pub sample: f64,
    /// Whether the words of an upstream's error are logged, which may quote what a caller sent.
    pub upstream_errors: bool,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}
