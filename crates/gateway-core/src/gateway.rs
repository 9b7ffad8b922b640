//! The gateway as an embedder holds it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use gateway_call::{Event, Observer};
use gateway_config::{Config, Vocabulary};
use gateway_extension::{Extension, Registry};
use gateway_protocol::Provider;
use gateway_routing::RoutingPolicy;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::report::TargetReport;
use crate::service::GatewayService;
use crate::snapshot::{CompileErrors, Snapshot};

/// A running gateway: the configuration in force and what outlives any one configuration. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

/// What every call shares.
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) observer: Arc<dyn Observer>,
    /// This process's name in `via`.
    pub(crate) instance: String,
    /// The whole `via` entry.
    pub(crate) via: HeaderValue,
    protocols: Registry<dyn Provider>,
    policies: Registry<dyn RoutingPolicy>,
    reconfiguring: Mutex<()>,
    draining: AtomicBool,
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

    /// Puts another configuration into force. Calls under way keep the one that they started with; connections, breakers,
    /// cool-downs and retry budgets of whatever did not change live on.
    ///
    /// # Errors
    ///
    /// Everything in the configuration that cannot work, together. The one in force stays.
    pub fn reconfigure(&self, config: &Config) -> Result<(), CompileErrors> {
        let shared = &self.shared;
        let _one_at_a_time = shared.reconfiguring.lock();
        let previous = shared.snapshot.load_full();
        let parts = (&shared.protocols, &shared.policies);
        let next = Snapshot::compile(config, parts, Some(&previous), Instant::now().into_std())?;
        shared.snapshot.store(Arc::new(next));
        Ok(())
    }

    /// How every target of the configuration in force is doing.
    pub fn targets(&self) -> Vec<TargetReport> {
        TargetReport::of_all(&self.shared.snapshot.load_full(), Instant::now())
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
    protocols: Registry<dyn Provider>,
    policies: Registry<dyn RoutingPolicy>,
    observer: Arc<dyn Observer>,
}

impl GatewayBuilder {
    /// Adds a routing policy that models can name as their `balance`.
    pub fn routing_policy<E: Extension<dyn RoutingPolicy>>(mut self) -> Self {
        self.policies = self.policies.with::<E>();
        self
    }

    /// Adds a provider protocol that providers can name as their `type`.
    pub fn protocol<E: Extension<dyn Provider>>(mut self) -> Self {
        self.protocols = self.protocols.with::<E>();
        self
    }

    /// Sets who is told of calls; nobody is by default.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The names that a configuration for this gateway may use.
    pub fn vocabulary(&self) -> Vocabulary {
        Vocabulary { protocols: self.protocols.names().collect(), policies: self.policies.names().collect() }
    }

    /// Compiles a configuration into a gateway.
    ///
    /// # Errors
    ///
    /// Everything in the configuration that cannot work, together.
    pub fn build(self, config: &Config) -> Result<Gateway, CompileErrors> {
        let now = Instant::now().into_std();
        let snapshot = Snapshot::compile(config, (&self.protocols, &self.policies), None, now)?;
        let instance = format!("llm-gateway-{:016x}", fastrand::u64(..));
        let via =
            HeaderValue::try_from(format!("1.1 {instance}")).unwrap_or(HeaderValue::from_static("1.1 llm-gateway"));
        let shared = Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            observer: self.observer,
            instance,
            via,
            protocols: self.protocols,
            policies: self.policies,
            reconfiguring: Mutex::new(()),
            draining: AtomicBool::new(false),
        };
        Ok(Gateway { shared: Arc::new(shared) })
    }
}

impl Default for GatewayBuilder {
    fn default() -> Self {
        Self {
            protocols: gateway_protocol::builtin(),
            policies: gateway_routing::builtin(),
            observer: Arc::new(Unobserved),
        }
    }
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("protocols", &self.protocols)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}

/// Takes note of nothing.
struct Unobserved;

impl Observer for Unobserved {
    fn on_event(&self, _: &Event<'_>) {}
}
