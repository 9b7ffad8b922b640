//! What outlives a configuration: connections, retry budgets, rejected credentials and the health of targets.
//!
//! A new configuration takes over whatever rests on settings that it leaves as they were: connections on a provider's
//! address, budgets on the budget's size, credentials on the keys, and the whole of a target's health on address, keys and the
//! breaker's settings. What rests on anything that changed begins afresh, as does a provider that was gone for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use gateway_config::{Config, Provider as ProviderConfig, ProviderEndpoint};
use gateway_resilience::{BreakerPolicy, BreakerState, BudgetPolicy, CredentialPool, RetryBudget, TargetHealth};
use gateway_secret::KeyDigest;
use gateway_upstream::Upstream;
use parking_lot::Mutex;

use crate::gate::Gate;

/// The state of one provider.
#[derive(Debug, Clone)]
pub(crate) struct ProviderState {
    /// Its connections.
    pub(crate) upstream: Upstream,
    /// How many attempts beyond the first of a call it still takes.
    pub(crate) budget: Arc<RetryBudget>,
    /// Which of its credentials are of use.
    pub(crate) credentials: Arc<CredentialPool>,
    /// Who is let through to it, if there is a bound on that.
    pub(crate) gate: Arc<Gate>,
}

/// The state of every provider and target of one configuration, with the settings that it was made under.
#[derive(Debug)]
pub(crate) struct Carried {
    breaker: BreakerPolicy,
    budget: BudgetPolicy,
    providers: HashMap<String, (Settings, ProviderState)>,
    targets: HashMap<TargetKey, Arc<TargetHealth>>,
    /// Those of names that the configuration does not list, made when they were first asked for.
    named: Mutex<HashMap<TargetKey, Arc<TargetHealth>>>,
}

/// The settings of a provider that its state depends on.
#[derive(Debug, PartialEq)]
struct Settings {
    endpoint: ProviderEndpoint,
    verify_ssl: bool,
    keys: Vec<KeyDigest>,
}

/// A provider's name and its name for a model, or what stands for any model.
pub(crate) type TargetKey = (String, String);

impl Carried {
    /// Nothing yet, under the settings of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            breaker: config.circuit_breaker,
            budget: config.retry_budget,
            providers: HashMap::new(),
            targets: HashMap::new(),
            named: Mutex::default(),
        }
    }

    /// The state of a provider: that of the `previous` configuration as far as the settings are the same.
    pub(super) fn provider<E>(
        &mut self,
        config: &ProviderConfig,
        previous: Option<&Self>,
        now: Instant,
        connect: impl FnOnce() -> Result<Upstream, E>,
    ) -> Result<ProviderState, E> {
        let settings = Settings::of(config);
        let before =
            previous.and_then(|it| it.providers.get(&config.name).map(|(settings, state)| (it, settings, state)));
        let before = before.filter(|(_, old, _)| old.is_same_place(&settings));
        let upstream = before.map_or_else(connect, |(_, _, state)| Ok(state.upstream.clone()))?;
        let budget = before.filter(|(it, ..)| it.budget == self.budget).map(|(_, _, state)| Arc::clone(&state.budget));
        let keys = before.filter(|(_, old, _)| old.keys == settings.keys);
        let credentials = keys.map(|(_, _, state)| Arc::clone(&state.credentials));
        let gate = before.map_or_else(Gate::new, |(_, _, state)| Arc::clone(&state.gate));
        let state = ProviderState {
            upstream,
            gate,
            budget: budget.unwrap_or_else(|| Arc::new(RetryBudget::new(self.budget, now))),
            credentials: credentials.unwrap_or_else(|| Arc::new(CredentialPool::new(config.api_keys.len(), now))),
        };
        self.providers.insert(config.name.clone(), (settings, state.clone()));
        Ok(state)
    }

    /// The health of a provider's target for a model, the same for every route that leads there.
    pub(super) fn target(
        &mut self,
        provider: &str,
        model: &str,
        previous: Option<&Self>,
        now: Instant,
    ) -> Arc<TargetHealth> {
        let key = (provider.to_owned(), model.to_owned());
        if let Some(health) = self.targets.get(&key) {
            return Arc::clone(health);
        }
        let before = previous.filter(|it| self.is_as_before(provider, it));
        let health = before.and_then(|it| it.targets.get(&key).cloned().or_else(|| it.named.lock().get(&key).cloned()));
        let health = health.unwrap_or_else(|| self.fresh_target(provider, now));
        self.named.get_mut().remove(&key);
        self.targets.insert(key, Arc::clone(&health));
        health
    }

    /// The health of a provider's target for a model that only a caller has named.
    pub(super) fn named_target(&self, provider: &str, model: &str, now: Instant) -> Arc<TargetHealth> {
        let key = (provider.to_owned(), model.to_owned());
        if let Some(health) = self.targets.get(&key) {
            return Arc::clone(health);
        }
        Arc::clone(self.named.lock().entry(key).or_insert_with(|| self.fresh_target(provider, now)))
    }

    /// Takes over the targets that callers have named, as far as their providers are as they were and there is anything to
    /// remember of them. So no number of configurations lets them grow.
    pub(super) fn inherit_named(&mut self, previous: Option<&Self>, now: Instant) {
        let Some(previous) = previous else { return };
        let named = previous.named.lock().clone();
        let is_eventful = |health: &TargetHealth| {
            health.breaker(now) != BreakerState::Closed || health.in_flight() > 0 || !health.cool_down(now).is_zero()
        };
        let inherited = named
            .into_iter()
            .filter(|((provider, _), health)| is_eventful(health) && self.is_as_before(provider, previous));
        let inherited = inherited.collect();
        self.named = Mutex::new(inherited);
    }

    fn fresh_target(&self, provider: &str, now: Instant) -> Arc<TargetHealth> {
        // Without credentials only for a provider that could not be built, whose configuration comes to nothing.
        let credentials = self.credentials(provider).map_or_else(|| Arc::new(CredentialPool::new(0, now)), Arc::clone);
        Arc::new(TargetHealth::new(self.breaker, credentials, now))
    }

    /// Whether what a target's health rests on is the same as in the previous configuration.
    fn is_as_before(&self, provider: &str, previous: &Self) -> bool {
        let credentials = self.credentials(provider).zip(previous.credentials(provider));
        self.breaker == previous.breaker && credentials.is_some_and(|(new, old)| Arc::ptr_eq(new, old))
    }

    /// Every target, sorted, with its health.
    pub(crate) fn targets(&self) -> Vec<(TargetKey, Arc<TargetHealth>)> {
        let mut targets: Vec<_> = self.targets.clone().into_iter().chain(self.named.lock().clone()).collect();
        targets.sort_by(|left, right| left.0.cmp(&right.0));
        targets
    }

    fn credentials(&self, provider: &str) -> Option<&Arc<CredentialPool>> {
        self.providers.get(provider).map(|(_, state)| &state.credentials)
    }
}

impl Settings {
    fn of(config: &ProviderConfig) -> Self {
        Self {
            endpoint: config.endpoint.clone(),
            verify_ssl: config.verify_ssl,
            keys: config.api_keys.iter().map(|key| KeyDigest::of(key.expose().as_bytes())).collect(),
        }
    }

    fn is_same_place(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && self.verify_ssl == other.verify_ssl
    }
}
