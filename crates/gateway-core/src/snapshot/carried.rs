//! What outlives a configuration: connections, retry budgets, rejected credentials and the health of targets.
//!
//! A new configuration takes over whatever rests on settings that it leaves as they were: connections on a provider's
//! address, budgets on the budget's size, credentials on the keys, and the whole of a target's health on address, keys and the
//! breaker's settings. What rests on anything that changed begins afresh, as does a provider that was gone for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use gateway_call::ModelName;
use gateway_config::{Config, Provider as ProviderConfig};
use gateway_resilience::{BreakerPolicy, BreakerState, BudgetPolicy, CredentialPool, RetryBudget, TargetHealth};
use gateway_upstream::Upstream;
use parking_lot::Mutex;

use super::mapped::{Mapped, MappedTarget};
use super::named::MAX_NAMES;
use super::{ProviderRuntime, Record, Snapshot, UsageRefusals};
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
    /// What has become of its attempts.
    pub(crate) record: Arc<Record>,
    /// Which of its models refuse to be asked what their streams take.
    pub(crate) usage_refusals: Arc<UsageRefusals>,
}

/// The targets of every provider of one configuration, with the settings that they were made under.
#[derive(Debug)]
pub(crate) struct Carried {
    breaker: BreakerPolicy,
    budget: BudgetPolicy,
    /// In the order of the configuration.
    providers: Vec<Targets>,
    /// Where each of them stands there.
    places: HashMap<Arc<str>, usize>,
}

/// The targets of one provider. They are known by its names for models, or what stands for any model.
#[derive(Debug)]
struct Targets {
    provider: Arc<str>,
    credentials: Arc<CredentialPool>,
    /// The provider's place in the previous configuration, if all that a target's health rests on is as it was there.
    before: Option<usize>,
    /// Those of its mapping.
    mapped: Arc<Mapped>,
    /// Those that models list beside them.
    listed: HashMap<ModelName, Arc<TargetHealth>>,
    /// Those of names that the configuration does not list, made when they were first asked for.
    named: Mutex<HashMap<ModelName, Named>>,
}

/// The health of a target that only callers have named.
#[derive(Debug, Clone)]
struct Named {
    health: Arc<TargetHealth>,
    /// Under how many configurations nobody has asked for it since somebody did.
    unasked: u32,
}

/// A provider as the configuration in force has it.
#[derive(Clone, Copy)]
pub(super) struct Former<'a> {
    place: usize,
    snapshot: &'a Snapshot,
    /// Its settings.
    config: &'a ProviderConfig,
    /// Whether they are those that it is to have.
    pub(super) is_unchanged: bool,
    /// What was made of them.
    pub(super) runtime: &'a Arc<ProviderRuntime>,
}

impl<'a> Former<'a> {
    /// The provider that has the name of the next one, if there is one.
    pub(super) fn find(snapshot: &'a Snapshot, next: &ProviderConfig) -> Option<Self> {
        let place = snapshot.carried.place(&next.name)?;
        let (config, runtime) = (snapshot.config.providers.get(place)?, snapshot.providers.get(place)?);
        Some(Self { place, snapshot, config, is_unchanged: config == next, runtime })
    }

    fn is_same_place(&self, next: &ProviderConfig) -> bool {
        let is_same = || self.config.endpoint == next.endpoint && self.config.verify_ssl == next.verify_ssl;
        self.is_unchanged || is_same()
    }

    fn has_same_keys(&self, next: &ProviderConfig) -> bool {
        self.is_unchanged || self.config.api_keys == next.api_keys
    }

    fn has_same_mapping(&self, next: &ProviderConfig) -> bool {
        let is_same = || (self.config.resolvable, &self.config.model_mapping) == (next.resolvable, &next.model_mapping);
        self.is_unchanged || is_same()
    }

    fn targets(&self) -> Option<&'a Targets> {
        self.snapshot.carried.providers.get(self.place)
    }
}

impl Carried {
    /// Nothing yet, under the settings of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        let count = config.providers.len();
        Self {
            breaker: config.circuit_breaker,
            budget: config.retry_budget,
            providers: Vec::with_capacity(count),
            places: HashMap::with_capacity(count),
        }
    }

    /// The state of the next provider: that of the `former` one as far as the settings are the same.
    pub(super) fn provider<E>(
        &mut self,
        config: &ProviderConfig,
        former: Option<Former<'_>>,
        now: Instant,
        connect: impl FnOnce() -> Result<Upstream, E>,
    ) -> Result<ProviderState, E> {
        let former = former.filter(|it| it.is_same_place(config));
        let state = former.map(|it| &it.runtime.state);
        let of_budget = former.filter(|it| it.snapshot.carried.budget == self.budget);
        let of_keys = former.filter(|it| it.has_same_keys(config));
        let (budget, credentials) = (of_budget.and(state), of_keys.and(state));
        let credentials = credentials.map_or_else(
            || Arc::new(CredentialPool::new(config.api_keys.len(), now)),
            |state| Arc::clone(&state.credentials),
        );
        let before = of_keys.filter(|it| it.snapshot.carried.breaker == self.breaker);
        let targets = self.targets_of(config, &credentials, before, now);
        self.places.insert(Arc::clone(&targets.provider), self.providers.len());
        self.providers.push(targets);
        Ok(ProviderState {
            upstream: state.map_or_else(connect, |state| Ok(state.upstream.clone()))?,
            gate: state.map_or_else(Gate::new, |state| Arc::clone(&state.gate)),
            record: state.map_or_else(Arc::default, |state| Arc::clone(&state.record)),
            usage_refusals: state.map_or_else(Arc::default, |state| Arc::clone(&state.usage_refusals)),
            budget: budget
                .map_or_else(|| Arc::new(RetryBudget::new(self.budget, now)), |state| Arc::clone(&state.budget)),
            credentials,
        })
    }

    /// The health of a provider's target for a model, the same for every route that leads there.
    pub(super) fn target(
        &mut self,
        provider: usize,
        model: &ModelName,
        previous: Option<&Snapshot>,
        now: Instant,
    ) -> Arc<TargetHealth> {
        let breaker = self.breaker;
        let Some(targets) = self.providers.get_mut(provider) else { return nobody(breaker, now) };
        let Targets { credentials, before, mapped, listed, named, .. } = targets;
        if let Some(health) = mapped.health(model) {
            return Arc::clone(health);
        }
        let listed = listed.entry(model.clone()).or_insert_with(|| {
            named.get_mut().remove(model);
            let before = before.zip(previous).and_then(|(place, it)| it.carried.providers.get(place));
            before.and_then(|it| it.find(model)).unwrap_or_else(|| fresh(breaker, credentials, now))
        });
        Arc::clone(listed)
    }

    /// The health of a provider's target for a model that may be one that only a caller has named.
    pub(super) fn named_target(&self, provider: usize, model: &ModelName, now: Instant) -> Arc<TargetHealth> {
        let Some(targets) = self.providers.get(provider) else { return nobody(self.breaker, now) };
        if let Some(health) = targets.listed(model) {
            return Arc::clone(health);
        }
        let mut named = targets.named.lock();
        let health = || fresh(self.breaker, &targets.credentials, now);
        let target = named.entry(model.clone()).or_insert_with(|| Named { health: health(), unasked: 0 });
        target.unasked = 0;
        Arc::clone(&target.health)
    }

    /// The name of a provider.
    pub(super) fn name(&self, provider: usize) -> &str {
        self.providers.get(provider).map_or("", |it| &*it.provider)
    }

    /// The targets of a provider's mapping.
    pub(super) fn mapped(&self, provider: usize) -> &[MappedTarget] {
        self.providers.get(provider).map_or(&[], |it| it.mapped.targets())
    }

    /// Where the provider of this name stands in the configuration.
    pub(super) fn place(&self, provider: &str) -> Option<usize> {
        self.places.get(provider).copied()
    }

    /// Every target with its health, sorted by the names of the provider and of the model.
    pub(crate) fn targets(&self) -> Vec<(Arc<str>, ModelName, Arc<TargetHealth>)> {
        let mut all = Vec::new();
        for targets in &self.providers {
            let named = targets.named.lock();
            let entry = |(model, health): (&ModelName, &Arc<TargetHealth>)| {
                (Arc::clone(&targets.provider), model.clone(), Arc::clone(health))
            };
            all.extend(targets.mapped.healths().chain(&targets.listed).map(entry));
            all.extend(named.iter().map(|(model, target)| entry((model, &target.health))));
        }
        all.sort_by(|left, right| (&left.0, &left.1).cmp(&(&right.0, &right.1)));
        all
    }

    /// The targets of a provider as its mapping says. Whatever is known of any is taken over from `before`.
    fn targets_of(
        &self,
        config: &ProviderConfig,
        credentials: &Arc<CredentialPool>,
        before: Option<Former<'_>>,
        now: Instant,
    ) -> Targets {
        let former = before.and_then(|it| it.targets());
        let mut named = former.map_or_else(HashMap::new, |it| it.known_named(now));
        let mut known = |model: &ModelName| {
            let former = former?;
            named.remove(model);
            former.find(model)
        };
        let health = |model: &ModelName| known(model).unwrap_or_else(|| fresh(self.breaker, credentials, now));
        let mapped = match (before, former) {
            (Some(before), Some(former)) if before.has_same_mapping(config) => Arc::clone(&former.mapped),
            _ => Arc::new(Mapped::of(config, health)),
        };
        Targets {
            provider: former.map_or_else(|| config.name.as_str().into(), |it| Arc::clone(&it.provider)),
            credentials: Arc::clone(credentials),
            before: before.map(|it| it.place),
            mapped,
            listed: former.map_or_else(HashMap::new, |it| HashMap::with_capacity(it.listed.len())),
            named: Mutex::new(named),
        }
    }
}

impl Targets {
    /// The targets that callers have named: as many as get a health under one configuration, so that no number of
    /// configurations lets them grow. First come those that calls are kept away from or are at, and then those that somebody
    /// has asked for of late; what is forgotten of the others is at most a few failures.
    fn known_named(&self, now: Instant) -> HashMap<ModelName, Named> {
        let known = self.named.lock().clone();
        let mut known: Vec<_> = known.into_iter().collect();
        if known.len() > MAX_NAMES {
            let is_quiet = |health: &TargetHealth| {
                health.breaker(now) == BreakerState::Closed
                    && health.in_flight() == 0
                    && health.cool_down(now).is_zero()
            };
            known.sort_by_cached_key(|(_, target)| (is_quiet(&target.health), target.unasked));
            known.truncate(MAX_NAMES);
        }
        let one_more = |target: Named| Named { unasked: target.unasked.saturating_add(1), ..target };
        known.into_iter().map(|(model, target)| (model, one_more(target))).collect()
    }

    fn listed(&self, model: &ModelName) -> Option<&Arc<TargetHealth>> {
        self.mapped.health(model).or_else(|| self.listed.get(model))
    }

    fn find(&self, model: &ModelName) -> Option<Arc<TargetHealth>> {
        self.listed(model).cloned().or_else(|| self.named.lock().get(model).map(|it| Arc::clone(&it.health)))
    }
}

fn fresh(breaker: BreakerPolicy, credentials: &Arc<CredentialPool>, now: Instant) -> Arc<TargetHealth> {
    Arc::new(TargetHealth::new(breaker, Arc::clone(credentials), now))
}

/// The health of a target of no provider.
fn nobody(breaker: BreakerPolicy, now: Instant) -> Arc<TargetHealth> {
    fresh(breaker, &Arc::new(CredentialPool::new(0, now)), now)
}
