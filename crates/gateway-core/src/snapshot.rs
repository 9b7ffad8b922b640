//! A configuration compiled for the path of calls: everything looked up, parsed and joined once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_call::ModelName;
use gateway_config::{Affinity, Config, Hedge, Model, TimeoutOverrides};
use gateway_extension::Registry;
use gateway_keystore::KeyStore;
use gateway_protocol::Provider;
use gateway_resilience::RetryPolicy;
use gateway_routing::{RouteTable, RoutingPolicy};
use gateway_upstream::Timeouts;

use crate::authenticate::Keys;
use crate::cors::CorsRules;
use crate::gate::Room;

mod carried;
mod keys;
mod mapped;
mod named;
mod prices;
mod provider;
mod record;
mod routes;
mod usage_refusals;

pub(crate) use carried::Carried;
use named::NamedRoutes;
pub(crate) use provider::ProviderRuntime;
pub use record::Ejections;
pub(crate) use record::Record;
use routes::OwnRoutes;
pub(crate) use usage_refusals::UsageRefusals;

/// One configuration, as calls see it. Immutable; a call keeps the one it started with.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// In the order of the configuration.
    pub(crate) providers: Vec<Arc<ProviderRuntime>>,
    pub(crate) routes: RouteTable,
    /// What `provider/` in front of a name leads to.
    own_routes: OwnRoutes,
    named: NamedRoutes,
    pub(crate) models: HashMap<String, ModelSettings>,
    /// What the next configuration takes over.
    pub(crate) carried: Carried,
    /// How calls try again, apart from what a model says itself.
    pub(crate) retry: RetryPolicy,
    /// Where keys are looked up; none if callers need no key.
    pub(crate) keys: Option<Keys>,
    /// The gateway's own prefix of model names, with its slash.
    pub(crate) prefix: Option<String>,
    /// The provider of paths that the gateway does not know.
    pub(crate) passthrough: Option<usize>,
    pub(crate) rewrite_response: bool,
    pub(crate) body_limits: BodyLimits,
    /// How many calls are served at once, and how many wait.
    pub(crate) room: Room,
    /// Counts the configurations that have been in force, from 1.
    pub(crate) version: u64,
    /// What it was made from.
    pub(crate) config: Arc<Config>,
    pub(crate) cors: Option<CorsRules>,
}

/// Bounds on a request's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// In bytes.
    pub(crate) size: u64,
    /// Between two parts of it.
    pub(crate) idle: Duration,
    /// From the request's head until the call that it states is known.
    pub(crate) total: Duration,
}

/// What the configuration says of one public model, beyond its targets.
#[derive(Debug)]
pub(crate) struct ModelSettings {
    timeouts: TimeoutOverrides,
    pub(crate) max_retries: Option<u32>,
    pub(crate) fallbacks: Vec<ModelName>,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) rewrite_response: Option<bool>,
}

impl ModelSettings {
    fn new(model: &Model) -> Self {
        Self {
            timeouts: model.timeouts,
            max_retries: model.max_retries,
            fallbacks: model.fallback_models.iter().map(|name| name.as_str().into()).collect(),
            hedge: model.hedge,
            affinity: model.affinity,
            rewrite_response: model.rewrite_response,
        }
    }

    /// The provider's timeouts with the model's own in their place.
    pub(crate) fn timeouts(&self, provider: Timeouts) -> Timeouts {
        self.timeouts.over(provider)
    }
}

/// What a configuration may name, and where keys are that it does not list.
pub(crate) struct Parts {
    pub(crate) protocols: Registry<dyn Provider>,
    pub(crate) policies: Registry<dyn RoutingPolicy>,
    pub(crate) keys: Option<Arc<dyn KeyStore>>,
}

/// A configuration on its way to a snapshot.
struct Build<'a> {
    config: &'a Config,
    /// The one in force.
    previous: Option<&'a Snapshot>,
    carried: Carried,
    now: Instant,
    errors: Vec<CompileError>,
}

impl Build<'_> {
    fn report(&mut self, at: String, problem: String) {
        self.errors.push(CompileError { at, problem });
    }
}

impl Snapshot {
    /// Compiles a configuration with the parts that it may name. Takes over from the `previous` one what did not change.
    pub(crate) fn compile(
        config: Arc<Config>,
        parts: &Parts,
        previous: Option<&Self>,
        now: Instant,
    ) -> Result<Self, CompileErrors> {
        let version = previous.map_or(1, |snapshot| snapshot.version + 1);
        let carried = Carried::new(&config);
        let mut build = Build { config: &config, previous, carried, now, errors: Vec::new() };
        let providers = provider::compile(&mut build, &parts.protocols);
        let routes = routes::compile(&mut build, &parts.policies);
        if !build.errors.is_empty() {
            return Err(CompileErrors(build.errors));
        }
        let snapshot = Self {
            providers,
            routes,
            own_routes: OwnRoutes::of(&config),
            named: NamedRoutes::default(),
            carried: build.carried,
            retry: config.retry,
            models: config.models.iter().map(|model| (model.name.clone(), ModelSettings::new(model))).collect(),
            keys: keys::compile(&config, parts.keys.as_ref()),
            prefix: config.provider_suffix.as_ref().map(|prefix| format!("{prefix}/")),
            passthrough: config.passthrough,
            rewrite_response: config.rewrite_response,
            body_limits: body_limits(&config),
            room: Room { limit: config.server.max_in_flight as usize, queue: config.server.queue },
            cors: config.server.cors.as_ref().map(CorsRules::new),
            version,
            config,
        };
        snapshot.make_large_routes();
        Ok(snapshot)
    }
}

/// A call that was not even stated within the longest time that any provider grants it could not be served any more.
fn body_limits(config: &Config) -> BodyLimits {
    let longest = config.providers.iter().map(|provider| provider.timeouts.total).max();
    BodyLimits {
        size: config.server.max_body,
        idle: config.server.body_timeout,
        total: longest.unwrap_or(Timeouts::default().total),
    }
}

/// One thing in a configuration that is valid by itself and cannot work here.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct CompileError {
    /// The entry that is to blame, as `providers.NAME` or `models.NAME`. If there are several that only together cannot work, the
    /// last of them.
    pub at: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Everything that kept a configuration from being compiled; never empty.
#[derive(Debug)]
pub struct CompileErrors(Vec<CompileError>);

impl CompileErrors {
    /// The errors, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &CompileError> {
        self.0.iter()
    }
}

impl fmt::Display for CompileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CompileErrors {}
