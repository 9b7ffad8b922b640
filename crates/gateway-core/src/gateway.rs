//! The gateway as an embedder holds it.

use std::fmt;
use std::num::NonZeroU128;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use gateway_call::{Event, Observer};
use gateway_config::{Config, Vocabulary};
use gateway_extension::Extension;
use gateway_keystore::KeyStore;
use gateway_protocol::Provider;
use gateway_ratelimit::{LimitStore, LocalLimits};
use gateway_routing::RoutingPolicy;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::authenticate::is_known;
use crate::gate::Gate;
use crate::health::Condition;
use crate::report::{ProviderReport, TargetReport};
use crate::reserve::{Counters, Outputs};
use crate::retired::Retired;
use crate::service::GatewayService;
use crate::snapshot::{CompileErrors, Parts, Snapshot};
use crate::trace::Sampling;

/// A running gateway: the configuration in force and what outlives any one configuration. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

/// What every call shares.
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Which traces are recorded, if calls are spans of one.
    pub(crate) sampling: Option<Arc<Sampling>>,
    /// This process's name in `via`.
    pub(crate) instance: String,
    /// The whole `via` entry.
    pub(crate) via: HeaderValue,
    /// Who is let in.
    pub(crate) gate: Arc<Gate>,
    /// Who counts what keys spend.
    pub(crate) limits: Arc<dyn LimitStore>,
    /// How long answers are.
    pub(crate) outputs: Outputs,
    pub(crate) conditions: Vec<Arc<dyn Condition>>,
    parts: Parts,
    reconfiguring: Mutex<()>,
    /// What was in force before.
    retired: Retired<Snapshot>,
    draining: AtomicBool,
}

impl Shared {
    /// Who counts, and what is known of earlier answers.
    pub(crate) fn counters(&self) -> Counters<'_> {
        Counters { limits: &self.limits, outputs: &self.outputs }
    }
}

impl Gateway {
    /// A gateway with the built-in parts, to which others can be added.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// A service over this gateway, for one connection or for all of them.
    pub fn service(&self) -> GatewayService {
        GatewayService::new(self.clone())
    }

    /// Makes `/readyz` answer 503 and every answer close its connection from now on, so that callers go elsewhere. Calls go
    /// on being served.
    pub fn begin_drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Puts another configuration into force, and returns its version. Calls under way keep the one that they started with;
    /// connections, breakers, cool-downs, retry budgets and places of whatever did not change live on.
    ///
    /// Takes milliseconds if there are hundreds of providers, so it is for threads that may be blocked.
    ///
    /// # Errors
    ///
    /// Everything in the configuration that cannot work, together. The one in force stays.
    pub fn reconfigure(&self, config: Arc<Config>) -> Result<u64, CompileErrors> {
        let shared = &self.shared;
        let _one_at_a_time = shared.reconfiguring.lock();
        let previous = shared.snapshot.load_full();
        let next = self.compile(config, &previous)?;
        let version = next.version;
        shared.snapshot.store(Arc::new(next));
        shared.retired.add(previous);
        Ok(version)
    }

    /// Whether a configuration could be put into force, without doing so.
    ///
    /// # Errors
    ///
    /// Everything in it that cannot work, together.
    pub fn check(&self, config: Arc<Config>) -> Result<(), CompileErrors> {
        self.compile(config, &self.shared.snapshot.load_full()).map(drop)
    }

    fn compile(&self, config: Arc<Config>, previous: &Snapshot) -> Result<Snapshot, CompileErrors> {
        Snapshot::compile(config, &self.shared.parts, Some(previous), Instant::now().into_std())
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.shared.snapshot.load().config)
    }

    /// Counts the configurations that have been in force, from 1.
    pub fn version(&self) -> u64 {
        self.shared.snapshot.load().version
    }

    /// Whether a request with these headers comes from somebody who may call: it has a key that is good, or needs none.
    pub async fn knows_caller(&self, headers: &HeaderMap) -> bool {
        let snapshot = self.shared.snapshot.load_full();
        is_known(snapshot.keys.as_ref(), headers).await
    }

    /// What the gateway was told that it needs, or does better with.
    pub fn conditions(&self) -> &[Arc<dyn Condition>] {
        &self.shared.conditions
    }

    /// How every target of the configuration in force is doing.
    pub fn targets(&self) -> Vec<TargetReport> {
        TargetReport::of_all(&self.shared.snapshot.load_full(), Instant::now())
    }

    /// How every provider of the configuration in force is doing.
    pub fn providers(&self) -> Vec<ProviderReport> {
        ProviderReport::of_all(&self.shared.snapshot.load_full(), Instant::now())
    }

    /// How many calls wait for their turn to be served by this process.
    pub fn waiting_calls(&self) -> usize {
        self.shared.gate.waiting()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("instance", &self.shared.instance).finish_non_exhaustive()
    }
}

/// Parts that a gateway is made of, before its configuration is compiled.
pub struct GatewayBuilder {
    parts: Parts,
    observer: Arc<dyn Observer>,
    sampling: Option<Arc<Sampling>>,
    limits: Option<Arc<dyn LimitStore>>,
    conditions: Vec<Arc<dyn Condition>>,
}

impl GatewayBuilder {
    /// Adds a routing policy that models can name as their `balance`.
    pub fn routing_policy<E: Extension<dyn RoutingPolicy>>(mut self) -> Self {
        self.parts.policies = self.parts.policies.with::<E>();
        self
    }

    /// Adds a provider protocol that providers can name as their `type`.
    pub fn protocol<E: Extension<dyn Provider>>(mut self) -> Self {
        self.parts.protocols = self.parts.protocols.with::<E>();
        self
    }

    /// Sets who is told of calls; nobody is by default.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Makes every call a span of a trace: its caller's, or else a new one. The observer is told of its place there, and
    /// upstreams get a `traceparent` of their attempt. Without this, a caller's `traceparent` is passed on as it is.
    ///
    /// `samples` says whether a trace is recorded that has this identifier, given what the caller says of that, if it says
    /// anything.
    pub fn trace_calls(mut self, samples: impl Fn(NonZeroU128, Option<bool>) -> bool + Send + Sync + 'static) -> Self {
        self.sampling = Some(Arc::new(samples));
        self
    }

    /// Sets where keys are looked up that the configuration does not list; nowhere by default.
    pub fn key_store(mut self, keys: Arc<dyn KeyStore>) -> Self {
        self.parts.keys = Some(keys);
        self
    }

    /// Sets who counts what keys spend; this process alone by default, in a [`LocalLimits`].
    ///
    /// The gateway has no task that would sweep the one by default. It holds an account, of a few hundred bytes, for each key with
    /// limits that has made a call, so it is bounded by the number of keys that there ever were. Whoever has keys that come and
    /// go sets one of its own, and calls [`LocalLimits::sweep`] from time to time.
    pub fn limit_store(mut self, limits: Arc<dyn LimitStore>) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Adds something that readiness depends on, or that is to be told with it.
    pub fn condition(mut self, condition: Arc<dyn Condition>) -> Self {
        self.conditions.push(condition);
        self
    }

    /// The names that a configuration for this gateway may use.
    pub fn vocabulary(&self) -> Vocabulary {
        let Parts { protocols, policies, .. } = &self.parts;
        Vocabulary { protocols: protocols.names().collect(), policies: policies.names().collect() }
    }

    /// Whether a configuration could be compiled into a gateway of these parts, without doing so.
    ///
    /// # Errors
    ///
    /// Everything in it that cannot work, together.
    pub fn check(&self, config: &Config) -> Result<(), CompileErrors> {
        Snapshot::compile(Arc::new(config.clone()), &self.parts, None, Instant::now().into_std()).map(drop)
    }

    /// Compiles a configuration into a gateway.
    ///
    /// # Errors
    ///
    /// Everything in the configuration that cannot work, together.
    pub fn build(self, config: &Config) -> Result<Gateway, CompileErrors> {
        self.build_shared(Arc::new(config.clone()))
    }

    /// The same without a copy of the configuration, which takes milliseconds if it is large.
    ///
    /// # Errors
    ///
    /// Everything in the configuration that cannot work, together.
    pub fn build_shared(self, config: Arc<Config>) -> Result<Gateway, CompileErrors> {
        let now = Instant::now().into_std();
        let snapshot = Snapshot::compile(config, &self.parts, None, now)?;
        let instance = format!("llm-gateway-{:016x}", fastrand::u64(..));
        let via =
            HeaderValue::try_from(format!("1.1 {instance}")).unwrap_or(HeaderValue::from_static("1.1 llm-gateway"));
        let shared = Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            observer: self.observer,
            sampling: self.sampling,
            instance,
            via,
            gate: Gate::new(),
            limits: self.limits.unwrap_or_else(|| Arc::new(LocalLimits::new(now))),
            outputs: Outputs::default(),
            conditions: self.conditions,
            parts: self.parts,
            reconfiguring: Mutex::new(()),
            retired: Retired::default(),
            draining: AtomicBool::new(false),
        };
        Ok(Gateway { shared: Arc::new(shared) })
    }
}

impl Default for GatewayBuilder {
    fn default() -> Self {
        let parts = Parts { protocols: gateway_protocol::builtin(), policies: gateway_routing::builtin(), keys: None };
        Self { parts, observer: Arc::new(Unobserved), sampling: None, limits: None, conditions: Vec::new() }
    }
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("protocols", &self.parts.protocols)
            .field("policies", &self.parts.policies)
            .finish_non_exhaustive()
    }
}

/// Takes note of nothing.
struct Unobserved;

impl Observer for Unobserved {
    fn on_event(&self, _: &Event<'_>) {}
}
