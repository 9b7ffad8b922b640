//! From providers' mappings and the `models` section to the table of routes.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gateway_call::{ModelName, ModelPattern};
use gateway_config::{Config, Model, ModelTarget, Provider};
use gateway_extension::Registry;
use gateway_routing::{
    MAX_TARGETS, Resolved, Route, RouteTable, RoutingPolicy, Target, UpstreamModel, Weighted, identity,
};

use super::carried::Carried;
use super::mapped::{FIRST_TIER, MappedTarget};
use super::provider::entry;
use super::{Build, CompileError, Snapshot};

/// Builds the table; what cannot be built goes into the build's errors.
pub(super) fn compile(build: &mut Build<'_>, policies: &Registry<dyn RoutingPolicy>) -> RouteTable {
    let Build { config, previous, carried, now, errors } = build;
    let mut builder = Builder::new(config);
    let resolvable = config.providers.iter().enumerate().filter(|(_, provider)| provider.resolvable);
    let mut table = builder.table(carried, resolvable);
    let mut listing = Listing { carried, previous: *previous, now: *now };
    let is_withheld = |model: &&Model| config.withheld_models.binary_search(&model.name).is_ok();
    for model in config.models.iter().filter(|model| !is_withheld(model)) {
        builder.model = Some(&model.name);
        match policies.build_default(&model.balance) {
            Ok(policy) => builder.policy = policy,
            Err(error) => builder.report(None, format!("balance: {error}")),
        }
        match builder.targets_of(model, &table, &mut listing) {
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
        table.close(name);
    }
    if config.awaits_store {
        table.close_rest();
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
        let make = || Builder::new(&self.config).table(&self.carried, [(place, provider)].into_iter());
        Some(self.own_routes.0.get(place)?.get_or_init(make))
    }
}

/// Finds the targets that models list, and adds those that no mapping has.
struct Listing<'a> {
    carried: &'a mut Carried,
    previous: Option<&'a Snapshot>,
    now: Instant,
}

impl Listing<'_> {
    /// A provider's target for a model that it knows by this name.
    fn target(&mut self, provider: usize, model: ModelName, weight: u32) -> Target {
        let health = self.carried.target(provider, &model, self.previous, self.now);
        let identity = identity(&[self.carried.name(provider), model.as_str()]);
        Target { provider, model: UpstreamModel::Fixed(model), weight, priority: FIRST_TIER, health, identity }
    }
}

/// Builds routes over providers.
struct Builder<'a> {
    config: &'a Config,
    policy: Arc<dyn RoutingPolicy>,
    /// The model whose route is built; none while those of the mappings are.
    model: Option<&'a str>,
    errors: Vec<CompileError>,
}

impl<'a> Builder<'a> {
    fn new(config: &'a Config) -> Self {
        Self { config, policy: Arc::new(Weighted), model: None, errors: Vec::new() }
    }

    /// A model's own targets, or those that the providers' mappings give its name.
    fn targets_of(&mut self, model: &Model, table: &RouteTable, listing: &mut Listing<'_>) -> Vec<Target> {
        if model.targets.is_empty() {
            return self.mapped_targets(&model.name.as_str().into(), table, listing).unwrap_or_default();
        }
        let own = |target: &ModelTarget| {
            let name = target.upstream_model.as_str().into();
            Target { priority: target.priority, ..listing.target(target.provider, name, target.weight) }
        };
        model.targets.iter().map(own).collect()
    }

    /// The targets that a name leads to. What they call the model is settled here, because the route of the name itself
    /// starts from all of it, also where the mapping starts behind `provider/`.
    fn mapped_targets(
        &mut self,
        name: &ModelName,
        table: &RouteTable,
        listing: &mut Listing<'_>,
    ) -> Option<Vec<Target>> {
        let found = table.resolve(name).or_else(|| self.resolve_behind_provider(name, listing.carried))?;
        let named = found.route.targets().iter().enumerate().filter_map(|(index, target)| {
            Some(listing.target(target.provider, found.upstream_model(index)?, target.weight))
        });
        Some(named.collect())
    }

    fn resolve_behind_provider(&mut self, name: &ModelName, carried: &Carried) -> Option<Resolved> {
        let (provider, model) = name.as_str().split_once('/')?;
        let mut providers = self.config.providers.iter().enumerate();
        let found = providers.find(|(_, it)| it.resolvable && it.name == provider)?;
        self.table(carried, [found].into_iter()).resolve(&model.into())
    }

    /// The names, patterns and any-name routes of some providers. Where one name is mapped by several of them, they
    /// share its calls by weight.
    fn table<'p>(
        &mut self,
        carried: &Carried,
        providers: impl Iterator<Item = (usize, &'p Provider)> + Clone,
    ) -> RouteTable {
        let mut exact =
            ByName::with_capacity(providers.clone().map(|(_, provider)| provider.model_mapping.len()).sum());
        let mut patterns = ByName::with_capacity(0);
        let mut any = Vec::new();
        for (index, provider) in providers {
            let share = |target| Share { target, provider: index, weight: provider.weight };
            let targets = carried.mapped(index);
            if provider.model_mapping.is_empty() {
                any.extend(targets.iter().map(|target| share(target).target()));
            }
            for (mapping, target) in provider.model_mapping.iter().zip(targets) {
                let names = if mapping.public.is_exact() { &mut exact } else { &mut patterns };
                names.push(mapping.public.as_str(), share(target));
            }
        }
        self.assemble(exact, patterns, any)
    }

    fn assemble(&mut self, exact: ByName<'_>, patterns: ByName<'_>, any: Vec<Target>) -> RouteTable {
        let mut table = RouteTable::default();
        for (name, targets) in exact.targets() {
            if let Some(route) = self.route(targets) {
                table.insert_exact(name, route);
            }
        }
        for (pattern, targets) in patterns.targets() {
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

/// What a provider does for a public name.
struct Share<'a> {
    target: &'a MappedTarget,
    provider: usize,
    weight: u32,
}

impl Share<'_> {
    fn target(&self) -> Target {
        self.target.at(self.provider, self.weight)
    }
}

/// Shares by the public name, in the order in which the names come first.
struct ByName<'a> {
    /// Each name with the number of its shares.
    names: Vec<(&'a str, usize)>,
    places: HashMap<&'a str, usize>,
    /// Each with the place of its name.
    shares: Vec<(usize, Share<'a>)>,
}

impl<'a> ByName<'a> {
    fn with_capacity(shares: usize) -> Self {
        Self {
            names: Vec::with_capacity(shares),
            places: HashMap::with_capacity(shares),
            shares: Vec::with_capacity(shares),
        }
    }

    fn push(&mut self, name: &'a str, share: Share<'a>) {
        let place = *self.places.entry(name).or_insert(self.names.len());
        match self.names.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => self.names.push((name, 1)),
        }
        self.shares.push((place, share));
    }

    /// The targets of each name. Counted before, so that none of ten thousand lists has to grow.
    fn targets(self) -> impl Iterator<Item = (&'a str, Vec<Target>)> {
        let mut lists: Vec<_> = self.names.into_iter().map(|(name, count)| (name, Vec::with_capacity(count))).collect();
        for (place, share) in self.shares {
            if let Some((_, targets)) = lists.get_mut(place) {
                targets.push(share.target());
            }
        }
        lists.into_iter()
    }
}
