//! A provider's mapping as targets.
//!
//! They are most of what a large configuration is made of, so the next one takes those of a provider over as a whole if nothing
//! that they rest on has changed.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_call::ModelName;
use gateway_config::{Mapping, Provider as ProviderConfig};
use gateway_resilience::TargetHealth;
use gateway_routing::{Target, UpstreamModel, identity};

/// What a target calls the model if it has no name of its own for it.
pub(super) const ANY_MODEL: &str = "*";

/// The tier of targets that do not say theirs.
pub(super) const FIRST_TIER: u32 = 1;

/// The targets of one provider's mapping.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// In the order of the mapping; without a mapping one, which serves any name.
    targets: Vec<MappedTarget>,
    healths: HashMap<ModelName, Arc<TargetHealth>>,
}

/// A target apart from what the rest of the configuration makes of it.
#[derive(Debug)]
pub(super) struct MappedTarget {
    model: UpstreamModel,
    health: Arc<TargetHealth>,
    identity: u64,
}

impl Mapped {
    /// The targets of a provider, each with the health that is found for it. There are none if the provider is only there for
    /// the model that it is written in.
    pub(super) fn of(config: &ProviderConfig, mut health: impl FnMut(&ModelName) -> Arc<TargetHealth>) -> Self {
        if !config.resolvable {
            return Self::default();
        }
        let count = config.model_mapping.len().max(1);
        let mut mapped = Self { targets: Vec::with_capacity(count), healths: HashMap::with_capacity(count) };
        for upstream in upstream_names(&config.model_mapping) {
            let name: ModelName = upstream.unwrap_or(ANY_MODEL).into();
            let identity = identity(&[&config.name, name.as_str()]);
            let health = Arc::clone(mapped.healths.entry(name.clone()).or_insert_with_key(&mut health));
            let model = upstream.map_or(UpstreamModel::Same, |_| UpstreamModel::Fixed(name));
            mapped.targets.push(MappedTarget { model, health, identity });
        }
        mapped
    }

    /// The targets, in the order of the mapping; without a mapping one, which serves any name.
    pub(super) fn targets(&self) -> &[MappedTarget] {
        &self.targets
    }

    /// The health of the one that the provider knows by this name.
    pub(super) fn health(&self, model: &ModelName) -> Option<&Arc<TargetHealth>> {
        self.healths.get(model)
    }

    /// The health of each, by the provider's name for it.
    pub(super) fn healths(&self) -> impl Iterator<Item = (&ModelName, &Arc<TargetHealth>)> {
        self.healths.iter()
    }
}

impl MappedTarget {
    /// The target for a provider at this place in a configuration, with this share.
    pub(super) fn at(&self, provider: usize, weight: u32) -> Target {
        let Self { model, health, identity } = self;
        let (model, health) = (model.clone(), Arc::clone(health));
        Target { provider, model, weight, priority: FIRST_TIER, health, identity: *identity }
    }
}

/// What each entry of a mapping makes of a name; nothing if it leaves whatever name it is, as the lack of a mapping does.
fn upstream_names(mapping: &[Mapping]) -> impl Iterator<Item = Option<&str>> {
    let any = mapping.is_empty().then_some(None);
    mapping.iter().map(upstream_name).chain(any)
}

fn upstream_name(Mapping { public, upstream, .. }: &Mapping) -> Option<&str> {
    // An exact name that is kept is known as well as one that is changed.
    upstream.as_deref().or_else(|| public.is_exact().then_some(public.as_str()))
}
