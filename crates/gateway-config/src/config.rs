//! The resolved configuration: what a file means once every reference, unit and default is settled.
//!
//! Nothing here can be read from or written to a file; the raw sections under `section/` are the file's shape, and
//! resolving them is the only way to make a [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway_call::ModelPattern;
use gateway_ratelimit::{Budget, Limits, Price, RateLimit};
use gateway_resilience::{BreakerPolicy, BudgetPolicy, RetryPolicy};
use gateway_secret::{KeyDigester, Secret};
use gateway_upstream::Timeouts;
use jiff::Timestamp;

/// A complete configuration, valid in itself.
#[derive(Debug, Clone)]
pub struct Config {
    /// The callers' listener and its limits.
    pub server: Server,
    /// Where calls may go.
    pub providers: Vec<Provider>,
    /// What public model names mean beyond the providers' mappings, in file order.
    pub models: Vec<Model>,
    /// How often and when a call tries again; a model may have its own number of retries.
    pub retry: RetryPolicy,
    /// What each provider bears of retries, as a share of its traffic.
    pub retry_budget: BudgetPolicy,
    /// When a target that fails is left alone, and for how long.
    pub circuit_breaker: BreakerPolicy,
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
#[derive(Debug, Clone)]
pub struct Server {
    /// The host to bind, a name or an address.
    pub host: String,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
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
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Cross-origin rules (Fetch Standard, section 3.3).
#[derive(Debug, Clone)]
pub struct Cors {
    /// Origins that may read answers; `None` means any.
    pub allowed_origins: Option<Vec<String>>,
    /// Request headers that a browser may send; `None` means any.
    pub allowed_headers: Option<Vec<String>>,
    /// How long a browser may remember a preflight.
    pub max_age: Duration,
}

/// One upstream account.
#[derive(Debug, Clone)]
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
    /// Whether the provider takes calls by name resolution; false for one written inline in a model.
    pub resolvable: bool,
}

/// How the URL of a request to a provider is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderEndpoint {
    /// An API base, such as `https://api.openai.com/v1`; the endpoint's path is appended. No trailing slash.
    Base(http::Uri),
    /// One complete URL that serves every call.
    Complete(http::Uri),
    /// The simulator inside this binary, wherever it will listen.
    Simulator,
}

/// One entry of a provider's model mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The public name or pattern.
    pub public: ModelPattern,
    /// The upstream's name; `None` keeps the caller's.
    pub upstream: Option<String>,
    /// What it costs; zero if nothing is said.
    pub price: Price,
}

/// What a public model name means.
#[derive(Debug, Clone)]
pub struct Model {
    /// The public name.
    pub name: String,
    /// Its targets; empty means every provider that maps the name.
    pub targets: Vec<ModelTarget>,
    /// The registered name of the balancing policy.
    pub balance: String,
    /// Attempts beyond the first, if the model says so itself; else [`RetryPolicy::max_retries`] of [`Config::retry`].
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
}

/// One way to serve a model.
#[derive(Debug, Clone)]
pub struct ModelTarget {
    /// The index in [`Config::providers`].
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

/// A caller's key as the administrator wrote it.
#[derive(Debug, Clone)]
pub struct MasterKey {
    /// What logs call it.
    pub name: String,
    /// The key itself.
    pub key: Secret,
    /// Models it may use; `["*"]` by default, empty means none.
    pub allowed_models: Vec<ModelPattern>,
    /// Whether it is accepted at all.
    pub enabled: bool,
    /// What it may spend, as written.
    pub rate_limit: Option<RateLimit>,
    /// How much money it may spend.
    pub budget: Option<Budget>,
    /// Both, ready to be counted against.
    pub limits: Arc<Limits>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// The administrator's own notes.
    pub metadata: Vec<(String, String)>,
}

/// The administrator's access.
#[derive(Debug, Clone, Default)]
pub struct Admin {
    /// The key; without one the Admin API is switched off.
    pub key: Option<Secret>,
    /// The address of a listener of its own; `None` if it shares the callers'.
    pub listen: Option<SocketAddr>,
}

/// Where keys are kept that are not in the file.
#[derive(Debug, Clone)]
pub struct Store {
    /// Where it is.
    pub place: StorePlace,
    /// What digests of keys are made with besides the key.
    pub key_pepper: Option<Secret>,
}

impl Store {
    /// What digests of keys are made with, on the path of calls and wherever keys are stored.
    pub fn digester(&self) -> KeyDigester {
        self.key_pepper.as_ref().map_or_else(KeyDigester::default, KeyDigester::peppered)
    }
}

/// Where a store is.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// The shape of a line.
    pub format: LogFormat,
    /// Whether every call writes a line.
    pub access: bool,
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
