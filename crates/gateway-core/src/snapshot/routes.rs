//! From providers' mappings and the `models` section to the table of routes.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use gateway_call::{ModelName, ModelPattern};
use gateway_config::{Config, Model, ModelTarget, Provider};
use gateway_extension::Registry;
use gateway_resilience::TargetHealth;
use gateway_routing::{
    MAX_TARGETS, Resolved, Route, RouteTable, RoutingPolicy, Target, UpstreamModel, Weighted, identity,
};
use tokio::time::Instant;

use super::provider::entry;
use super::{Build, CompileError, Snapshot};

/// What a target calls the model if it has no name of its own for it.
pub(super) const ANY_MODEL: &str = "*";

/// The tier of targets that do not say theirs.
const FIRST_TIER: u32 = 1;

/// Builds the table; what cannot be built goes into the build's errors.
pub(super) fn compile(build: &mut Build<'_>, policies: &Registry<dyn RoutingPolicy>) -> RouteTable {
    let Build { config, previous, carried, now, errors } = build;
    let health = |provider, model: &ModelName| carried.target(provider, model, *previous, *now);
    let mut builder = Builder::new(config, health);
    let resolvable = config.providers.iter().enumerate().filter(|(_, provider)| provider.resolvable);
    let mut table = builder.table(resolvable);
    for model in &config.models {
        builder.model = Some(&model.name);
        match policies.build_default(&model.balance) {
            Ok(policy) => builder.policy = policy,
            Err(error) => builder.report(None, format!("balance: {error}")),
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
    for name in &config.withheld_models {
        table.insert_model(name, Route::closed(Arc::new(Weighted)));
    }
    errors.append(&mut builder.errors);
    table
}

/// So many names of one provider take a good part of a millisecond, for which no call is to wait.
const MANY: usize = 500;

/// For each provider, what `provider/` in front of a name leads to. Most are never asked for, so each is made when it first is,
/// but for those with many names.
#[derive(Debug)]
pub(super) struct OwnRoutes(Vec<OnceLock<RouteTable>>);

impl OwnRoutes {
    /// None is made yet.
    pub(super) fn of(config: &Config) -> Self {
        Self(config.providers.iter().map(|_| OnceLock::new()).collect())
    }
}

impl Snapshot {
    /// What a public name leads to as the configuration says it.
    pub(crate) fn find(&self, name: &ModelName) -> Option<Resolved> {
        self.routes.resolve(name).or_else(|| {
            let (provider, model) = name.as_str().split_once('/')?;
            self.own_routes(self.carried.place(provider)?)?.resolve(&model.into())
        })
    }

    /// Makes the routes behind `provider/` of providers with many names.
    pub(super) fn make_large_routes(&self) {
        let providers = self.config.providers.iter().enumerate();
        for (place, _) in providers.filter(|(_, provider)| provider.model_mapping.len() >= MANY) {
            self.own_routes(place);
        }
    }

    fn own_routes(&self, place: usize) -> Option<&RouteTable> {
        let provider = self.config.providers.get(place).filter(|provider| provider.resolvable)?;
        let make = || {
            let now = Instant::now().into_std();
            let health = |provider, model: &ModelName| self.carried.named_target(provider, model, now);
            Builder::new(&self.config, health).table([(place, provider)].into_iter())
        };
        Some(self.own_routes.0.get(place)?.get_or_init(make))
    }
}

/// Builds routes over providers, whose targets get their health from `health`.
struct Builder<'a, H> {
    config: &'a Config,
    health: H,
    policy: Arc<dyn RoutingPolicy>,
    any_model: ModelName,
    /// The model whose route is built; none while those of the mappings are.
    model: Option<&'a str>,
    errors: Vec<CompileError>,
}

impl<'a, H: FnMut(usize, &ModelName) -> Arc<TargetHealth>> Builder<'a, H> {
    fn new(config: &'a Config, health: H) -> Self {
        Self {
            config,
            health,
            policy: Arc::new(Weighted),
            any_model: ANY_MODEL.into(),
            model: None,
            errors: Vec::new(),
        }
    }

    /// A model's own targets, or those that the providers' mappings give its name.
    fn targets_of(&mut self, model: &Model, table: &RouteTable) -> Vec<Target> {
        if model.targets.is_empty() {
            return self.mapped_targets(&model.name.as_str().into(), table).unwrap_or_default();
        }
        let own = |target: &ModelTarget| {
            let name = UpstreamModel::Fixed(target.upstream_model.as_str().into());
            Target { priority: target.priority, ..self.target(target.provider, name, target.weight) }
        };
        model.targets.iter().map(own).collect()
    }

    /// The targets that a name leads to. What they call the model is settled here, because the route of the name itself
    /// starts from all of it, also where the mapping starts behind `provider/`.
    fn mapped_targets(&mut self, name: &ModelName, table: &RouteTable) -> Option<Vec<Target>> {
        let found = table.resolve(name).or_else(|| self.resolve_behind_provider(name))?;
        let named = found.route.targets().iter().enumerate().filter_map(|(index, target)| {
            let name = UpstreamModel::Fixed(found.upstream_model(index)?);
            Some(self.target(target.provider, name, target.weight))
        });
        Some(named.collect())
    }

    fn resolve_behind_provider(&mut self, name: &ModelName) -> Option<Resolved> {
        let (provider, model) = name.as_str().split_once('/')?;
        let mut providers = self.config.providers.iter().enumerate();
        let found = providers.find(|(_, it)| it.resolvable && it.name == provider)?;
        self.table([found].into_iter()).resolve(&model.into())
    }

    fn target(&mut self, provider: usize, model: UpstreamModel, weight: u32) -> Target {
        let name = match &model {
            UpstreamModel::Fixed(name) => name,
            UpstreamModel::Same => &self.any_model,
        };
        let owner = self.config.providers.get(provider).map_or("", |provider| provider.name.as_str());
        let health = (self.health)(provider, name);
        let identity = identity(&[owner, name.as_str()]);
        Target { provider, model, weight, priority: FIRST_TIER, health, identity }
    }

    /// The names, patterns and any-name routes of some providers. Where one name is mapped by several of them, they
    /// share its calls by weight.
    fn table<'p>(&mut self, providers: impl Iterator<Item = (usize, &'p Provider)> + Clone) -> RouteTable {
        let mut exact =
            ByName::with_capacity(providers.clone().map(|(_, provider)| provider.model_mapping.len()).sum());
        let mut patterns = ByName::with_capacity(0);
        let mut any = Vec::new();
        for (index, provider) in providers {
            if provider.model_mapping.is_empty() {
                any.push(self.target(index, UpstreamModel::Same, provider.weight));
            }
            for mapping in &provider.model_mapping {
                let upstream = mapping.upstream.as_deref();
                // An exact name that is kept is known as well as one that is changed.
                let upstream = upstream.or_else(|| mapping.public.is_exact().then_some(mapping.public.as_str()));
                let model = upstream.map_or(UpstreamModel::Same, |name| UpstreamModel::Fixed(name.into()));
                let target = self.target(index, model, provider.weight);
                let names = if mapping.public.is_exact() { &mut exact } else { &mut patterns };
                names.push(mapping.public.as_str(), target);
            }
        }
        self.assemble(exact, patterns, any)
    }

    fn assemble(&mut self, exact: ByName<'_>, patterns: ByName<'_>, any: Vec<Target>) -> RouteTable {
        let mut table = RouteTable::default();
        for (name, targets) in exact.entries {
            if let Some(route) = self.route(targets) {
                table.insert_exact(name, route);
            }
        }
        for (pattern, targets) in patterns.entries {
            if let Some(route) = self.route(targets) {
                table.push_pattern(ModelPattern::new(pattern), route);
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
        // The first that is one too many, if there is one.
        let surplus = targets.get(MAX_TARGETS).map(|target| target.provider);
        Route::new(targets, Arc::clone(&self.policy)).map_err(|error| self.report(surplus, error.to_string())).ok()
    }

    /// Reports what is wrong with the model whose route is built, or with a provider.
    fn report(&mut self, provider: Option<usize>, problem: String) {
        let of_provider = || provider.map_or_else(|| "providers".to_owned(), |place| entry(place, self.config));
        let at = self.model.map_or_else(of_provider, |name| format!("models.{name}"));
        self.errors.push(CompileError { at, problem });
    }
}

/// Targets by the public name, in the order in which the names come first.
struct ByName<'a> {
    entries: Vec<(&'a str, Vec<Target>)>,
    places: HashMap<&'a str, usize>,
}

impl<'a> ByName<'a> {
    fn with_capacity(names: usize) -> Self {
        Self { entries: Vec::with_capacity(names), places: HashMap::with_capacity(names) }
    }

    fn push(&mut self, name: &'a str, target: Target) {
        let place = *self.places.entry(name).or_insert(self.entries.len());
        match self.entries.get_mut(place) {
            Some((_, targets)) => targets.push(target),
            None => self.entries.push((name, vec![target])),
        }
    }
}
