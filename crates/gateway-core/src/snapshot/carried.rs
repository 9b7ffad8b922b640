//! What outlives a configuration: connections, retry budgets, rejected credentials and the health of targets.
//!
//! A new configuration takes over whatever its own settings leave as it was. A provider that moved, was given other keys or
//! was gone for a while begins afresh in just that respect.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use gateway_config::{Config, Provider as ProviderConfig, ProviderEndpoint};
use gateway_resilience::{BreakerPolicy, BudgetPolicy, CredentialPool, RetryBudget, TargetHealth};
use gateway_secret::KeyDigest;
use gateway_upstream::Upstream;

/// The state of one provider.
#[derive(Debug, Clone)]
pub(crate) struct ProviderState {
    /// Its connections.
    pub(crate) upstream: Upstream,
    /// How many attempts beyond the first of a call it still takes.
    pub(crate) budget: Arc<RetryBudget>,
    /// Which of its credentials are of use.
    pub(crate) credentials: Arc<CredentialPool>,
}

/// The state of every provider and target of one configuration, with the settings that it was made under.
#[derive(Debug)]
pub(crate) struct Carried {
    breaker: BreakerPolicy,
    budget: BudgetPolicy,
    providers: HashMap<String, (Settings, ProviderState)>,
    targets: HashMap<TargetKey, Arc<TargetHealth>>,
}

/// The settings of a provider that its state depends on.
#[derive(Debug, PartialEq)]
struct Settings {
    endpoint: ProviderEndpoint,
    verify_ssl: bool,
    keys: Vec<KeyDigest>,
}

/// A provider's name and its name for a model, or what stands for any model.
type TargetKey = (String, String);

impl Carried {
    /// Nothing yet, under the settings of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            breaker: config.circuit_breaker,
            budget: config.retry_budget,
            providers: HashMap::new(),
            targets: HashMap::new(),
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
        let state = ProviderState {
            upstream,
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
        let credentials = self.credentials(provider);
        let is_as_before = |it: &&Self| {
            it.breaker == self.breaker
                && it.credentials(provider).zip(credentials).is_some_and(|(old, new)| Arc::ptr_eq(old, new))
        };
        let before = previous.filter(is_as_before).and_then(|it| it.targets.get(&key)).cloned();
        let health = before.unwrap_or_else(|| {
            // Without credentials only for a provider that could not be built, whose configuration comes to nothing.
            let credentials = credentials.map_or_else(|| Arc::new(CredentialPool::new(0, now)), Arc::clone);
            Arc::new(TargetHealth::new(self.breaker, credentials, now))
        });
        self.targets.insert(key, Arc::clone(&health));
        health
    }

    /// Every target: the provider, what it calls the model, and the health.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&str, &str, &TargetHealth)> {
        self.targets.iter().map(|((provider, model), health)| (provider.as_str(), model.as_str(), &**health))
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
