//! From providers' mappings and the `models` section to the table of routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_call::ModelName;
use gateway_config::{Mapping, Model, ModelTarget, Provider};
use gateway_extension::Registry;
use gateway_routing::{Route, RouteTable, RoutingPolicy, Target, UpstreamModel, Weighted, identity};

use super::Build;

/// What a target calls the model if it has no name of its own for it.
pub(super) const ANY_MODEL: &str = "*";

/// The tier of targets that do not say theirs.
const FIRST_TIER: u32 = 1;

/// Builds the table; what cannot be built goes into the build's errors.
pub(super) fn compile(build: &mut Build<'_>, policies: &Registry<dyn RoutingPolicy>) -> RouteTable {
    let config = build.config;
    let providers: Vec<(usize, &Provider)> =
        config.providers.iter().enumerate().filter(|(_, provider)| provider.resolvable).collect();
    let mut builder = Builder { build, policy: Arc::new(Weighted), at: "providers".to_owned() };
    let mut table = builder.table(&providers);
    for (index, provider) in &providers {
        table.insert_provider(&provider.name, builder.table(&[(*index, provider)]));
    }
    for model in &config.models {
        builder.at = format!("models.{}", model.name);
        match policies.build_default(&model.balance) {
            Ok(policy) => builder.policy = policy,
            Err(error) => builder.report(format!("balance: {error}")),
        }
        match builder.targets_of(model, &table) {
            // The configuration warned of it; the name does not exist until somebody serves it.
            targets if targets.is_empty() => {}
            targets => {
                if let Some(route) = builder.route(targets) {
                    table.insert_model(&model.name, route);
                }
            }
        }
    }
    table
}

struct Builder<'b, 'a> {
    build: &'b mut Build<'a>,
    policy: Arc<dyn RoutingPolicy>,
    at: String,
}

impl Builder<'_, '_> {
    /// A model's own targets, or those that the providers' mappings give its name.
    fn targets_of(&mut self, model: &Model, table: &RouteTable) -> Vec<Target> {
        if model.targets.is_empty() {
            return self.mapped_targets(&model.name.as_str().into(), table);
        }
        let own = |target: &ModelTarget| {
            let name = UpstreamModel::Fixed(target.upstream_model.as_str().into());
            Target { priority: target.priority, ..self.target(target.provider, name, target.weight) }
        };
        model.targets.iter().map(own).collect()
    }

    /// The targets that a name leads to. What they call the model is settled here, because the route of the name itself
    /// starts from all of it, also where the mapping starts behind `provider/`.
    fn mapped_targets(&mut self, name: &ModelName, table: &RouteTable) -> Vec<Target> {
        let Some(found) = table.resolve(name) else { return Vec::new() };
        let named = found.route.targets().iter().enumerate().filter_map(|(index, target)| {
            let name = UpstreamModel::Fixed(found.upstream_model(index)?);
            Some(self.target(target.provider, name, target.weight))
        });
        named.collect()
    }

    fn target(&mut self, provider: usize, model: UpstreamModel, weight: u32) -> Target {
        let name = match &model {
            UpstreamModel::Fixed(name) => name.as_str(),
            UpstreamModel::Same => ANY_MODEL,
        };
        let owner = self.build.config.providers.get(provider).map_or("", |provider| provider.name.as_str());
        let health = self.build.carried.target(owner, name, self.build.previous, self.build.now);
        let identity = identity(&[owner, name]);
        Target { provider, model, weight, priority: FIRST_TIER, health, identity }
    }

    /// The names, patterns and any-name routes of some providers. Where one name is mapped by several of them, they
    /// share its calls by weight.
    fn table(&mut self, providers: &[(usize, &Provider)]) -> RouteTable {
        let mut exact: BTreeMap<&str, Vec<Target>> = BTreeMap::new();
        let mut patterns: Vec<(&Mapping, Vec<Target>)> = Vec::new();
        let mut any = Vec::new();
        for (index, provider) in providers {
            if provider.model_mapping.is_empty() {
                any.push(self.target(*index, UpstreamModel::Same, provider.weight));
            }
            for mapping in &provider.model_mapping {
                let upstream = mapping.upstream.as_deref();
                // An exact name that is kept is known as well as one that is changed.
                let upstream = upstream.or_else(|| mapping.public.is_exact().then_some(mapping.public.as_str()));
                let model = upstream.map_or(UpstreamModel::Same, |name| UpstreamModel::Fixed(name.into()));
                let target = self.target(*index, model, provider.weight);
                if mapping.public.is_exact() {
                    exact.entry(mapping.public.as_str()).or_default().push(target);
                } else if let Some((_, targets)) = patterns.iter_mut().find(|(it, _)| it.public == mapping.public) {
                    targets.push(target);
                } else {
                    patterns.push((mapping, vec![target]));
                }
            }
        }
        self.assemble(exact, patterns, any)
    }

    fn assemble(
        &mut self,
        exact: BTreeMap<&str, Vec<Target>>,
        patterns: Vec<(&Mapping, Vec<Target>)>,
        any: Vec<Target>,
    ) -> RouteTable {
        let mut table = RouteTable::default();
        for (name, targets) in exact {
            if let Some(route) = self.route(targets) {
                table.insert_exact(name, route);
            }
        }
        for (mapping, targets) in patterns {
            if let Some(route) = self.route(targets) {
                table.push_pattern(mapping.public.clone(), route);
            }
        }
        if !any.is_empty()
            && let Some(route) = self.route(any)
        {
            table.set_any(route);
        }
        table
    }

    fn route(&mut self, targets: Vec<Target>) -> Option<Route> {
        Route::new(targets, Arc::clone(&self.policy)).map_err(|error| self.report(error.to_string())).ok()
    }

    fn report(&mut self, problem: String) {
        self.build.report(self.at.clone(), problem);
    }
}
