//! From a public model name to its route.
//!
//! The kinds of entry are asked in a fixed order, most specific first: a model of its own, an exact name of a
//! provider's mapping, a pattern in file order, providers that take any name, and last `provider/model`.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_call::{Label, ModelName, ModelPattern};
use rustc_hash::FxHashMap;

use crate::{Route, UpstreamModel};

/// Every route of one configuration.
///
/// Names are hashed by a function that somebody could find colliding names for: what callers write is looked up here and never
/// put in.
#[derive(Debug, Default)]
pub struct RouteTable {
    models: FxHashMap<String, Entry>,
    exact: FxHashMap<String, Entry>,
    patterns: Vec<(ModelPattern, Entry)>,
    any: Option<Entry>,
    by_provider: FxHashMap<String, RouteTable>,
    /// Names that lead nowhere for now.
    closed: FxHashMap<String, Entry>,
    /// Where all names lead that are not there by themselves, if not to patterns and to providers that take any name.
    closed_rest: Option<Entry>,
}

/// What some name leads to.
#[derive(Debug)]
struct Entry {
    route: Arc<Route>,
    /// The name or the pattern; none for providers that take any name.
    label: Option<Label>,
}

impl Entry {
    fn named(name: &str, route: Route) -> Self {
        Self { route: Arc::new(route), label: Some(Label::of(name)) }
    }

    fn resolved(&self, name: ModelName) -> Resolved {
        Resolved { route: Arc::clone(&self.route), name, entry: self.label.clone() }
    }
}

/// A route found for one name.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The route.
    pub route: Arc<Route>,
    /// The name that the route's targets start from: the public one, or what follows `provider/`.
    pub name: ModelName,
    /// The entry that the name led to, a name or a pattern of the configuration; none if some provider takes any name.
    pub entry: Option<Label>,
}

impl Resolved {
    /// What the target at `index` calls the model.
    pub fn upstream_model(&self, index: usize) -> Option<ModelName> {
        Some(match &self.route.targets().get(index)?.model {
            UpstreamModel::Fixed(name) => name.clone(),
            UpstreamModel::Same => self.name.clone(),
        })
    }
}

impl RouteTable {
    /// Adds a name of the `models` section.
    pub fn insert_model(&mut self, name: &str, route: Route) {
        self.models.insert(name.to_owned(), Entry::named(name, route));
    }

    /// Adds a name that nobody may serve for now, whatever else is said of it. Its route has no targets, and it is not listed.
    pub fn close(&mut self, name: &str) {
        self.closed.insert(name.to_owned(), Entry::named(name, Route::closed()));
    }

    /// Has nobody serve the names for which there are only patterns, or providers that take any name.
    pub fn close_rest(&mut self) {
        self.closed_rest = Some(Entry { route: Arc::new(Route::closed()), label: None });
    }

    /// Adds a name that providers map exactly.
    pub fn insert_exact(&mut self, name: &str, route: Route) {
        self.exact.insert(name.to_owned(), Entry::named(name, route));
    }

    /// Adds a pattern behind those already there.
    pub fn push_pattern(&mut self, pattern: ModelPattern, route: Route) {
        let entry = Entry::named(pattern.as_str(), route);
        self.patterns.push((pattern, entry));
    }

    /// Sets the providers that take any name.
    pub fn set_any(&mut self, route: Route) {
        self.any = Some(Entry { route: Arc::new(route), label: None });
    }

    /// Adds what `provider/` in front of a name leads to: the provider's own names, patterns and any-name route.
    pub fn insert_provider(&mut self, provider: &str, table: RouteTable) {
        self.by_provider.insert(provider.to_owned(), table);
    }

    /// The route for a public name from which the gateway's own prefix has been stripped.
    pub fn resolve(&self, name: &ModelName) -> Option<Resolved> {
        if let Some(entry) = self.entry(name.as_str()) {
            return Some(entry.resolved(name.clone()));
        }
        let (provider, model) = name.as_str().split_once('/')?;
        Some(self.by_provider.get(provider)?.entry(model)?.resolved(model.into()))
    }

    /// Every name that can be listed: those of models and exact mappings, sorted. Patterns have no list of names.
    pub fn names(&self) -> BTreeSet<&str> {
        self.each_name().collect()
    }

    /// The same in no order, and a model that is mapped as well twice: without the time that sorting them takes.
    pub fn each_name(&self) -> impl Iterator<Item = &str> {
        let names = self.models.keys().chain(self.exact.keys());
        names.filter(|name| !self.closed.contains_key(*name)).map(String::as_str)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let by_pattern = || self.patterns.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, entry)| entry);
        let closed = self.closed.get(name);
        let exact = closed.or_else(|| self.models.get(name)).or_else(|| self.exact.get(name));
        exact.or(self.closed_rest.as_ref()).or_else(by_pattern).or(self.any.as_ref()).filter(|_| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::target;
    use crate::{Target, Weighted};

    fn route(provider: usize, model: UpstreamModel) -> Route {
        Route::new(vec![Target { provider, model, ..target("any") }], Arc::new(Weighted)).unwrap()
    }

    fn table() -> RouteTable {
        let mut table = RouteTable::default();
        table.insert_model("gpt-4o", route(0, UpstreamModel::Fixed("from-models".into())));
        table.insert_exact("gpt-4o", route(1, UpstreamModel::Fixed("from-mapping".into())));
        table.insert_exact("o3", route(1, UpstreamModel::Fixed("o3-2025".into())));
        table.push_pattern(ModelPattern::new("gpt-*"), route(2, UpstreamModel::Same));
        table.push_pattern(ModelPattern::new("gpt-4*"), route(3, UpstreamModel::Same));
        let mut own = RouteTable::default();
        own.insert_exact("o3", route(1, UpstreamModel::Fixed("o3-2025".into())));
        table.insert_provider("main", own);
        table
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let table = table();
        let found = |name: &str| {
            table
                .resolve(&name.into())
                .map(|it| (it.route.targets()[0].provider, it.upstream_model(0).unwrap().to_string()))
        };
        let entry = |name: &str| table.resolve(&name.into()).and_then(|it| it.entry).map(|it| it.to_string());
        assert_eq!(entry("gpt-4.1").as_deref(), Some("gpt-*"), "callers' own names are no labels");
        assert_eq!(entry("main/o3").as_deref(), Some("o3"));
        assert_eq!(found("gpt-4o"), Some((0, "from-models".to_owned())));
        assert_eq!(found("o3"), Some((1, "o3-2025".to_owned())));
        assert_eq!(found("gpt-4.1"), Some((2, "gpt-4.1".to_owned())), "patterns are asked in file order");
        assert_eq!(found("main/o3"), Some((1, "o3-2025".to_owned())));
        assert_eq!(found("main/o4"), None, "a provider does not serve what it does not map");
        assert_eq!(found("other/o3"), None);
        assert_eq!(found("claude"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn what_is_closed_is_nobodys_and_not_listed() {
        let mut table = table();
        table.set_any(route(9, UpstreamModel::Same));
        for name in ["gpt-4o", "confined"] {
            table.close(name);
            assert!(table.resolve(&name.into()).unwrap().route.targets().is_empty());
        }
        assert_eq!(table.names().into_iter().collect::<Vec<_>>(), ["o3"]);
    }

    #[test]
    fn the_rest_can_be_closed() {
        let mut table = table();
        table.set_any(route(9, UpstreamModel::Same));
        table.close_rest();
        let is_closed = |name: &str| table.resolve(&name.into()).unwrap().route.is_closed();
        assert_eq!(["gpt-4o", "o3", "gpt-4.1", "claude"].map(is_closed), [false, false, true, true]);
    }

    #[test]
    fn providers_without_a_mapping_take_any_name() {
        let mut table = table();
        table.set_any(route(9, UpstreamModel::Same));
        let resolved = table.resolve(&"claude".into()).unwrap();
        assert_eq!((resolved.route.targets()[0].provider, resolved.entry), (9, None));
        assert_eq!(table.resolve(&"main/o3".into()).unwrap().upstream_model(0).unwrap().as_str(), "main/o3");
        assert_eq!(table.names().into_iter().collect::<Vec<_>>(), ["gpt-4o", "o3"]);
    }
}
