//! One of `models`: what a public name means beyond the providers' mappings.

use gateway_secret::Secret;

use super::provider::Defaults;
use super::serving::{Served, Serving};
use super::url::Query;
use super::{hedge, provider, retry, target, timeouts, url};
use crate::config::{Affinity, Model, ModelTarget, Origin, Provider, ProviderEndpoint, TimeoutOverrides};
use crate::fields::{Fields, refuse_rivals};
use crate::item::Item;

/// The balancing policy of a model that names none.
const DEFAULT_BALANCE: &str = "weighted";
/// An `endpoint` speaks the protocol that everybody speaks.
const INLINE_KIND: &str = "openai";
const AFFINITIES: [(&str, Affinity); 2] = [("session", Affinity::Session), ("prompt_prefix", Affinity::PromptPrefix)];

/// What models are read with.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'s> {
    pub(super) serving: &'s Serving<'s>,
    pub(super) defaults: &'s Defaults<'s>,
}

/// A model that was read, apart from what depends on the other models.
pub(super) struct Draft<'a> {
    pub(super) model: Model,
    /// The provider that is written inline in it, if one is: its only target.
    inline: Option<Provider>,
    /// The upstream's name for the model at that provider.
    inline_model: String,
    /// Whether all of its targets are at providers that are missing or left out.
    pub(super) is_withheld: bool,
    /// Its fallbacks as they were written.
    pub(super) fallbacks: Vec<Item<'a>>,
}

/// Reads one model.
pub(super) fn read_one<'a>(name: &str, item: &Item<'a>, origin: Origin, around: Surroundings<'_>) -> Draft<'a> {
    let mut draft = Draft::unrouted(name, origin);
    if !item.is_absent()
        && let Some(mut fields) = item.fields()
    {
        draft.read(&mut fields, around);
        fields.finish();
    }
    match problem_of(name) {
        Some(problem) => item.refuse(problem),
        None if has_place_of_its_own(item) => {}
        None => check_mapped(item, around.serving.of(name, origin)),
    }
    draft
}

/// Why a text is no name of a model; `None` if it is one.
pub(super) fn problem_of(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Some("expected the name of a model as the key, without outer blanks and control characters");
    }
    name.contains('*').then_some("a key of `models` is one name; patterns go into a provider's `model_mapping`")
}

/// Whether the model says itself where it is served, rightly or not.
fn has_place_of_its_own(item: &Item<'_>) -> bool {
    item.has_key("targets") || item.has_key("endpoint")
}

/// A model without targets is served by whoever maps its name. That nobody does is most often a misspelling.
fn check_mapped(item: &Item<'_>, served: Served) {
    const NOBODY: &str = "no enabled provider serves this name; give it `targets` or map it in a `model_mapping`";
    match served {
        Served::Now => {}
        Served::OnceEnabled => item.warn(NOBODY),
        Served::Perhaps(absence) => item.warn(absence.of_service()),
        Served::Never => item.refuse(NOBODY),
    }
}

impl<'a> Draft<'a> {
    /// The model that a name without settings means: whoever maps it.
    fn unrouted(name: &str, origin: Origin) -> Self {
        let model = Model {
            name: name.to_owned(),
            targets: Vec::new(),
            balance: DEFAULT_BALANCE.to_owned(),
            max_retries: None,
            fallback_models: Vec::new(),
            hedge: None,
            affinity: None,
            timeouts: TimeoutOverrides::default(),
            rewrite_response: None,
            origin,
        };
        Self { model, inline: None, inline_model: name.to_owned(), is_withheld: false, fallbacks: Vec::new() }
    }

    fn read(&mut self, fields: &mut Fields<'a>, around: Surroundings<'_>) {
        let model = &mut self.model;
        model.timeouts = timeouts::read(fields);
        model.rewrite_response = fields.flag("rewrite_response");
        let policies: Vec<_> = around.defaults.vocabulary.policies.iter().map(|name| (*name, *name)).collect();
        if let Some(balance) = fields.take("balance").and_then(|item| item.choice(&policies)) {
            balance.clone_into(&mut model.balance);
        }
        model.max_retries = retry::read_max_retries(fields);
        model.affinity = fields.take("affinity").and_then(|item| item.choice(&AFFINITIES));
        let hedge = fields.take("hedge");
        let targets = fields.take("targets");
        let endpoint = fields.take("endpoint");
        refuse_rivals([&targets, &endpoint]);
        self.read_inline(fields, endpoint.as_ref(), around.defaults);
        if let Some(item) = targets {
            let targets = target::read_all(&item, &self.model, around.serving.catalogue());
            self.is_withheld = targets.is_withheld;
            self.model.targets = targets.served;
        }
        let targets = self.model.targets.len() + usize::from(self.inline.is_some());
        self.model.hedge = hedge.and_then(|item| hedge::read(&item, targets));
        self.fallbacks = fields.take("fallback_models").map(|item| item.items()).unwrap_or_default();
    }

    /// Reads `endpoint`, `api_key` and `model`: a provider of one model, written where the model is.
    fn read_inline(&mut self, fields: &mut Fields<'_>, endpoint: Option<&Item<'_>>, defaults: &Defaults<'_>) {
        let api_keys = read_inline_keys(fields, endpoint.is_some());
        let upstream = fields.take("model");
        if endpoint.is_none()
            && let Some(item) = &upstream
        {
            item.refuse("`model` goes with `endpoint`; for a provider, say it in `targets` or in its `model_mapping`");
        }
        if let Some(upstream) = upstream.and_then(|item| item.name("the upstream's name for the model")) {
            upstream.clone_into(&mut self.inline_model);
        }
        let uri = endpoint.and_then(|item| url::read(item, Query::Allowed));
        self.inline = uri.map(|uri| Provider {
            name: format!("model:{}", self.model.name),
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
            health_check: None,
            resolvable: false,
            enabled: true,
            origin: self.model.origin,
        });
    }

    /// The finished model. Its inline provider, if it has one, goes to the others.
    pub(super) fn finish(mut self, providers: &mut Vec<Provider>) -> Model {
        if let Some(provider) = self.inline {
            let (priority, upstream_model) = (target::DEFAULT_PRIORITY, self.inline_model);
            self.model.targets = vec![ModelTarget { provider: providers.len(), upstream_model, weight: 1, priority }];
            providers.push(provider);
        }
        self.model
    }
}

fn read_inline_keys(fields: &mut Fields<'_>, has_endpoint: bool) -> Vec<Secret> {
    let keys = provider::read_keys(fields);
    if !has_endpoint && !keys.is_empty() {
        fields.item().refuse("`api_key` goes with `endpoint`; a provider has its own");
    }
    keys
}
