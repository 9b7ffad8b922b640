//! What changed between two configurations, in the names that an administrator knows.
//!
//! Entries are compared by name and with what they refer to by name: a provider that moves up in the list, because another
//! one went, has not changed, and neither has a model that is served there.

use std::collections::{HashMap, HashSet};

use crate::config::{Config, MasterKey, Model, ModelTarget, Provider};

mod fixed;
mod setting;

/// What became of the parts of a configuration, each list sorted.
///
/// Entries are called `providers.NAME`, `models.NAME` and `master_keys.NAME`, everything else by its key, such as
/// `server.max_body` or `retry`. `providers` itself is changed if their order is, in which they are asked for a model; that
/// of models and keys means nothing.
///
/// ```
/// use gateway_config::{Config, Difference};
///
/// let before = Config::from_yaml("providers: [{ name: a }, { name: b }]\n")?;
/// let after = Config::from_yaml("providers: [{ name: b, weight: 2 }, { name: c }]\nserver: { port: 80 }\n")?;
/// let difference = Difference::between(&before, &after);
/// assert_eq!((difference.added, difference.removed), (vec!["providers.c".to_owned()], vec!["providers.a".to_owned()]));
/// assert_eq!(difference.changed, ["providers.b", "server.port"]);
/// assert_eq!(difference.needs_restart, ["server.port"]);
/// # Ok::<(), gateway_config::ConfigErrors>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Entries that are new.
    pub added: Vec<String>,
    /// Entries that are gone.
    pub removed: Vec<String>,
    /// Entries and settings that are not what they were. A provider that is switched on or off is one.
    pub changed: Vec<String>,
    /// Those of `changed` that only a restart brings into force.
    pub needs_restart: Vec<String>,
}

impl Difference {
    /// What turns one configuration into the other.
    pub fn between(before: &Config, after: &Config) -> Self {
        let mut difference = Self::default();
        difference.compare("providers", &providers(before), &providers(after), |one, other| one == other);
        difference.compare_order("providers", &served(before), &served(after));
        difference.compare("models", &models(before), &models(after), |one, other| {
            is_same_model((one, before), (other, after))
        });
        difference.compare_withheld(&before.withheld_models, &after.withheld_models);
        difference.compare("master_keys", &master_keys(before), &master_keys(after), |one, other| one == other);
        for setting in setting::all(before, after).into_iter().filter(|setting| setting.is_changed) {
            difference.changed.push(setting.name.to_owned());
            if setting.needs_restart {
                difference.needs_restart.push(setting.name.to_owned());
            }
        }
        for list in [&mut difference.added, &mut difference.removed, &mut difference.changed] {
            list.sort_unstable();
        }
        difference.needs_restart.sort_unstable();
        difference
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Whether nothing changed but what needs a restart.
    pub fn waits_for_restart(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.len() == self.needs_restart.len()
    }

    /// Compares two lists of entries with their names, of which none is there twice.
    fn compare<'c, E: Copy>(
        &mut self,
        section: &str,
        before: &[(&'c str, E)],
        after: &[(&'c str, E)],
        is_same: impl Fn(E, E) -> bool,
    ) {
        let places = |list: &[(&'c str, E)]| -> HashMap<&'c str, E> { list.iter().copied().collect() };
        let (were, are) = (places(before), places(after));
        for (name, entry) in after {
            match were.get(name) {
                None => self.added.push(format!("{section}.{name}")),
                Some(was) if !is_same(*was, *entry) => self.changed.push(format!("{section}.{name}")),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|(name, _)| !are.contains_key(name));
        self.removed.extend(gone.map(|(name, _)| format!("{section}.{name}")));
    }

    /// Notes the models that are withheld in one of two configurations alone.
    fn compare_withheld(&mut self, before: &[String], after: &[String]) {
        let (were, are): (HashSet<&String>, HashSet<&String>) = (before.iter().collect(), after.iter().collect());
        for name in were.symmetric_difference(&are).map(|name| format!("models.{name}")) {
            if ![&self.added, &self.removed, &self.changed].into_iter().any(|list| list.contains(&name)) {
                self.changed.push(name);
            }
        }
    }

    /// Compares the order of the names that are in both lists.
    fn compare_order(&mut self, section: &str, before: &[&str], after: &[&str]) {
        let (were, are): (HashSet<&&str>, HashSet<&&str>) = (before.iter().collect(), after.iter().collect());
        if !before.iter().filter(|name| are.contains(name)).eq(after.iter().filter(|name| were.contains(name))) {
            self.changed.push(section.to_owned());
        }
    }
}

/// All providers with a name of their own.
fn providers(config: &Config) -> Vec<(&str, &Provider)> {
    let served = config.providers.iter().filter(|provider| provider.resolvable);
    served.chain(&config.disabled_providers).map(|provider| (provider.name.as_str(), provider)).collect()
}

/// The names of those that are served, in the order in which they are asked for a model.
fn served(config: &Config) -> Vec<&str> {
    config.providers.iter().filter(|provider| provider.resolvable).map(|provider| provider.name.as_str()).collect()
}

fn models(config: &Config) -> Vec<(&str, &Model)> {
    config.models.iter().map(|model| (model.name.as_str(), model)).collect()
}

fn master_keys(config: &Config) -> Vec<(&str, &MasterKey)> {
    config.master_keys.iter().map(|key| (key.name.as_str(), key)).collect()
}

/// Whether a model is what it was: served at the same targets, wherever in the list their providers are, and in the same
/// way, its inline provider included.
fn is_same_model((one, before): (&Model, &Config), (other, after): (&Model, &Config)) -> bool {
    let Model {
        name,
        targets,
        balance,
        max_retries,
        fallback_models,
        hedge,
        affinity,
        timeouts,
        rewrite_response,
        origin,
    } = one;
    let is_same = |(one, other): (&ModelTarget, &ModelTarget)| {
        let (at, now_at) = (before.providers.get(one.provider), after.providers.get(other.provider));
        let is_same_place = match (at, now_at) {
            (Some(at), Some(now_at)) if at.resolvable && now_at.resolvable => at.name == now_at.name,
            _ => at == now_at,
        };
        let ModelTarget { provider: _, upstream_model, weight, priority } = one;
        is_same_place && (upstream_model, weight, priority) == (&other.upstream_model, &other.weight, &other.priority)
    };
    targets.len() == other.targets.len()
        && targets.iter().zip(&other.targets).all(is_same)
        && (name, balance, max_retries) == (&other.name, &other.balance, &other.max_retries)
        && (fallback_models, hedge, affinity) == (&other.fallback_models, &other.hedge, &other.affinity)
        && (timeouts, rewrite_response, origin) == (&other.timeouts, &other.rewrite_response, &other.origin)
}
