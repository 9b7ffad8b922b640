//! From providers' mappings and the `models` section to the table of routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_call::ModelName;
use gateway_config::{Config, Mapping, Model, Provider};
use gateway_extension::Registry;
use gateway_routing::{Route, RouteTable, RoutingPolicy, Target, UpstreamModel, Weighted};

use super::CompileError;

/// Builds the table; what cannot be built goes into `errors`.
pub(super) fn compile(
    config: &Config,
    policies: &Registry<dyn RoutingPolicy>,
    errors: &mut Vec<CompileError>,
) -> RouteTable {
    let providers: Vec<(usize, &Provider)> =
        config.providers.iter().enumerate().filter(|(_, provider)| provider.resolvable).collect();
    let mut builder = Builder { errors, policy: Arc::new(Weighted), at: "providers".to_owned() };
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
        match targets_of(model, &table) {
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

/// A model's own targets, or those that the providers' mappings give its name.
fn targets_of(model: &Model, table: &RouteTable) -> Vec<Target> {
    if model.targets.is_empty() {
        return mapped_targets(&model.name.as_str().into(), table);
    }
    let own = model.targets.iter().map(|target| Target {
        provider: target.provider,
        model: UpstreamModel::Fixed(target.upstream_model.as_str().into()),
        weight: target.weight,
    });
    own.collect()
}

/// The targets that a name leads to. What they call the model is settled here, because the route of the name itself
/// starts from all of it, also where the mapping starts behind `provider/`.
fn mapped_targets(name: &ModelName, table: &RouteTable) -> Vec<Target> {
    let Some(found) = table.resolve(name) else { return Vec::new() };
    let named = found.route.targets().iter().enumerate().filter_map(|(index, target)| {
        Some(Target { model: UpstreamModel::Fixed(found.upstream_model(index)?), ..target.clone() })
    });
    named.collect()
}

struct Builder<'a> {
    errors: &'a mut Vec<CompileError>,
    policy: Arc<dyn RoutingPolicy>,
    at: String,
}

impl Builder<'_> {
    /// The names, patterns and any-name routes of some providers. Where one name is mapped by several of them, they
    /// share its calls by weight.
    fn table(&mut self, providers: &[(usize, &Provider)]) -> RouteTable {
        let mut exact: BTreeMap<&str, Vec<Target>> = BTreeMap::new();
        let mut patterns: Vec<(&Mapping, Vec<Target>)> = Vec::new();
        let mut any = Vec::new();
        for (index, provider) in providers {
            if provider.model_mapping.is_empty() {
                any.push(Target { provider: *index, model: UpstreamModel::Same, weight: provider.weight });
            }
            for mapping in &provider.model_mapping {
                let target = mapped_target(*index, provider, mapping);
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
        self.errors.push(CompileError { at: self.at.clone(), problem });
    }
}

fn mapped_target(index: usize, provider: &Provider, mapping: &Mapping) -> Target {
    let model = mapping.upstream.as_deref().map_or(UpstreamModel::Same, |name| UpstreamModel::Fixed(name.into()));
    Target { provider: index, model, weight: provider.weight }
}
