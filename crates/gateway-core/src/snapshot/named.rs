//! Routes of names that the configuration does not list.
//!
//! A pattern, or a provider without a mapping, serves any number of models. One of them may fail while the others do not, so
//! each gets targets with a health of their own when it is first asked for. Callers choose the names, so there is a bound on
//! how many; those beyond it share the health of the pattern.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_call::ModelName;
use gateway_routing::{Resolved, Route, Target, UpstreamModel};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::Snapshot;
use super::mapped::ANY_MODEL;
use super::provider::PASSTHROUGH;

/// How many names get a health of their own, and of how many that is kept when another configuration comes. With a few hundred bytes a target this is a megabyte at most for a handful of
/// providers, and more models than any of them has.
pub(super) const MAX_NAMES: usize = 1024;

/// The routes that have been made, by the public name.
#[derive(Debug, Default)]
pub(super) struct NamedRoutes(RwLock<HashMap<ModelName, Arc<Route>>>);

impl Snapshot {
    /// The route for a public name from which the gateway's own prefix has been stripped.
    pub(crate) fn resolve(&self, name: &ModelName) -> Option<Resolved> {
        let found = self.find(name)?;
        let is_listed = found.route.targets().iter().all(|target| target.model != UpstreamModel::Same);
        if is_listed || is_reserved(found.name.as_str()) {
            return Some(found);
        }
        let known = self.named.0.read().get(name).cloned();
        let route = known.unwrap_or_else(|| self.name_route(name, &found));
        Some(Resolved { route, ..found })
    }

    fn name_route(&self, name: &ModelName, found: &Resolved) -> Arc<Route> {
        let mut routes = self.named.0.write();
        if let Some(route) = routes.get(name) {
            return Arc::clone(route);
        }
        if routes.len() >= MAX_NAMES {
            return Arc::clone(&found.route);
        }
        let route = Arc::new(found.route.with_targets(|target| self.name_target(target, &found.name)));
        routes.insert(name.clone(), Arc::clone(&route));
        route
    }

    fn name_target(&self, target: &Target, model: &ModelName) -> Target {
        if target.model != UpstreamModel::Same {
            return target.clone();
        }
        let health = self.carried.named_target(target.provider, model, Instant::now().into_std());
        Target { model: UpstreamModel::Fixed(model.clone()), health, ..target.clone() }
    }
}

/// Whether a name stands for something else where healths are kept, so that no caller may have one by that name.
fn is_reserved(name: &str) -> bool {
    name == ANY_MODEL || name == PASSTHROUGH
}
