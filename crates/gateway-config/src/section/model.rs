//! `models`: what a public name means beyond the providers' mappings.

use gateway_secret::Secret;

use super::catalogue::Catalogue;
use super::fallback::Names;
use super::provider::Defaults;
use super::url::Query;
use super::{fallback, hedge, provider, retry, target, timeouts, url};
use crate::config::{Affinity, Model, ModelTarget, Provider, ProviderEndpoint, TimeoutOverrides};
use crate::fields::{Fields, refuse_rivals};
use crate::item::Item;

/// The balancing policy of a model that names none.
const DEFAULT_BALANCE: &str = "weighted";
/// An `endpoint` speaks the protocol that everybody speaks.
const INLINE_KIND: &str = "openai";
const AFFINITIES: [(&str, Affinity); 2] = [("session", Affinity::Session), ("prompt_prefix", Affinity::PromptPrefix)];

pub(super) fn read_all(
    root: &mut Fields<'_>,
    catalogue: &mut Catalogue,
    defaults: &Defaults<'_>,
    prefix: Option<&str>,
) -> Vec<Model> {
    let Some(section) = root.take("models") else { return Vec::new() };
    let mut models = Vec::new();
    let mut fallbacks = Vec::new();
    for (name, item) in section.entries() {
        let mut model = unrouted(name);
        let mut own_fallbacks = Vec::new();
        if !item.is_absent()
            && let Some(mut fields) = item.fields()
        {
            own_fallbacks = read_one(&mut fields, &mut model, catalogue, defaults);
            fields.finish();
        }
        fallbacks.push(own_fallbacks);
        match problem_of(name) {
            Some(problem) => item.refuse(problem),
            None if has_place_of_its_own(&item) => {}
            None => check_mapped(name, &item, catalogue),
        }
        models.push(model);
    }
    // A fallback may name a model further down.
    Names { catalogue, prefix }.settle(&mut models, &fallbacks);
    models
}

fn problem_of(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Some("expected the name of a model as the key, without outer blanks and control characters");
    }
    name.contains('*').then_some("a key of `models` is one name; patterns go into a provider's `model_mapping`")
}

/// Whether the model says itself where it is served, rightly or not.
fn has_place_of_its_own(item: &Item<'_>) -> bool {
    !item.is_absent() && item.entries().iter().any(|(key, _)| matches!(*key, "targets" | "endpoint"))
}

/// A model without targets is served by whoever maps its name. That nobody does is most often a misspelling.
fn check_mapped(name: &str, item: &Item<'_>, catalogue: &Catalogue) {
    const NOBODY: &str = "no enabled provider serves this name; give it `targets` or map it in a `model_mapping`";
    if fallback::is_mapped(name, catalogue) || catalogue.has_nameless() {
        return;
    }
    if fallback::is_mapped_by_disabled(name, catalogue) {
        item.warn(NOBODY);
    } else {
        item.refuse(NOBODY);
    }
}

/// The model that a name without settings means: whoever maps it.
fn unrouted(name: &str) -> Model {
    Model {
        name: name.to_owned(),
        targets: Vec::new(),
        balance: DEFAULT_BALANCE.to_owned(),
        max_retries: None,
        fallback_models: Vec::new(),
        hedge: None,
        affinity: None,
        timeouts: TimeoutOverrides::default(),
        rewrite_response: None,
    }
}

/// Reads a model's settings and returns its fallbacks, which can be checked once all models are known.
fn read_one<'a>(
    fields: &mut Fields<'a>,
    model: &mut Model,
    catalogue: &mut Catalogue,
    defaults: &Defaults<'_>,
) -> Vec<Item<'a>> {
    model.timeouts = timeouts::read(fields);
    model.rewrite_response = fields.flag("rewrite_response");
    let policies: Vec<_> = defaults.vocabulary.policies.iter().map(|name| (*name, *name)).collect();
    if let Some(balance) = fields.take("balance").and_then(|item| item.choice(&policies)) {
        balance.clone_into(&mut model.balance);
    }
    model.max_retries = retry::read_max_retries(fields);
    model.affinity = fields.take("affinity").and_then(|item| item.choice(&AFFINITIES));
    let hedge = fields.take("hedge");
    let targets = fields.take("targets");
    let endpoint = fields.take("endpoint");
    refuse_rivals([&targets, &endpoint]);
    read_inline(fields, model, endpoint.as_ref(), catalogue, defaults);
    if let Some(item) = targets {
        model.targets = target::read_all(&item, model, catalogue);
    }
    model.hedge = hedge.and_then(|item| hedge::read(&item, &model.targets));
    fields.take("fallback_models").map(|item| item.items()).unwrap_or_default()
}

/// Reads `endpoint`, `api_key` and `model`: a provider of one model, written where the model is.
fn read_inline(
    fields: &mut Fields<'_>,
    model: &mut Model,
    endpoint: Option<&Item<'_>>,
    catalogue: &mut Catalogue,
    defaults: &Defaults<'_>,
) {
    let api_keys = read_inline_keys(fields, endpoint.is_some());
    let upstream = fields.take("model");
    if endpoint.is_none()
        && let Some(item) = &upstream
    {
        item.refuse("`model` goes with `endpoint`; for a provider, say it in `targets` or in its `model_mapping`");
    }
    let upstream = upstream.and_then(|item| item.name("the upstream's name for the model"));
    let Some(uri) = endpoint.and_then(|item| url::read(item, Query::Allowed)) else { return };
    let index = catalogue.add_inline(Provider {
        name: format!("model:{}", model.name),
        kind: INLINE_KIND.to_owned(),
        endpoint: ProviderEndpoint::Complete(uri),
        api_keys,
        weight: 1,
        model_mapping: Vec::new(),
        max_in_flight: None,
        headers: Vec::new(),
        forward_headers: Vec::new(),
        verify_ssl: defaults.verify_ssl,
        timeouts: defaults.timeouts,
        resolvable: false,
    });
    let upstream_model = upstream.unwrap_or(&model.name).to_owned();
    model.targets =
        vec![ModelTarget { provider: index, upstream_model, weight: 1, priority: target::DEFAULT_PRIORITY }];
}

fn read_inline_keys(fields: &mut Fields<'_>, has_endpoint: bool) -> Vec<Secret> {
    let keys = provider::read_keys(fields);
    if !has_endpoint && !keys.is_empty() {
        fields.item().refuse("`api_key` goes with `endpoint`; a provider has its own");
    }
    keys
}
