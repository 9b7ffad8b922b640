//! A model as administrators see it.

use gateway_config::{Affinity, Config, Hedge, HedgeDelay, Model, ModelTarget, Provider, ProviderEndpoint};
use gateway_keystore::preview;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::provider::{TimeoutsView, address, duration, previews};
use super::whereabouts;
use crate::master_keys::KeySource;

/// What a public name of a model means.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ModelView {
    /// The public name.
    pub id: String,
    /// The enabled providers that serve it; empty if all do that map the name.
    pub targets: Vec<TargetView>,
    /// The one address that serves it; null if providers do.
    pub endpoint: Option<String>,
    /// What that address calls the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The first and last characters of the key for that address, or of the first of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_preview: Option<String>,
    /// The same of all its keys, if it has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_key_previews: Vec<String>,
    /// How calls are spread over the targets.
    pub balance: String,
    /// Attempts beyond the first; null for as many as with other models.
    pub max_retries: Option<u32>,
    /// The models to go on with when this one fails.
    pub fallback_models: Vec<String>,
    /// When a slow answer is raced by another attempt; null for never.
    pub hedge: Option<HedgeView>,
    /// What calls share that go to the same target: `session`, `prompt_prefix`, or null for nothing.
    pub affinity: Option<String>,
    /// Timeouts that differ from the providers'.
    pub timeouts: TimeoutsView,
    /// Whether answers are rewritten; null for as with other models.
    pub rewrite_response: Option<bool>,
    /// Where it is kept.
    pub source: KeySource,
    /// When it was made; null if it is in the file.
    pub created_at: Option<Timestamp>,
    /// When it was last changed; null if it is in the file.
    pub updated_at: Option<Timestamp>,
    /// There if the store has another model of this name, which is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One way to serve a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TargetView {
    /// The provider's name.
    pub provider: String,
    /// What the provider calls the model.
    pub model: String,
    /// Its share among the targets.
    pub weight: u32,
    /// Its tier under `balance: priority`, lower first.
    pub priority: u32,
}

/// When another attempt is made beside one that is slow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HedgeView {
    /// After how long: a duration, or a percentile of the recent times to the first content.
    pub after: String,
    /// The most attempts beside the first.
    pub max: u32,
}

impl ModelView {
    /// A model of this configuration.
    pub(super) fn of(model: &Model, config: &Config) -> Self {
        let inline = model.targets.iter().find_map(|target| inline(target, config));
        let keys = inline.map(|(provider, ..)| provider.api_keys.as_slice()).unwrap_or_default();
        let (source, created_at, updated_at) = whereabouts(model.origin);
        let targets = if inline.is_some() { &[] } else { model.targets.as_slice() };
        Self {
            id: model.name.clone(),
            targets: targets.iter().filter_map(|target| TargetView::of(target, config)).collect(),
            endpoint: inline.map(|(_, uri, _)| address(uri)),
            model: inline.map(|(.., model)| model.to_owned()),
            api_key_preview: keys.first().map(|key| preview(key.expose())),
            api_key_previews: previews(keys),
            balance: model.balance.clone(),
            max_retries: model.max_retries,
            fallback_models: model.fallback_models.clone(),
            hedge: model.hedge.map(HedgeView::from),
            affinity: model.affinity.map(|affinity| affinity_name(affinity).to_owned()),
            timeouts: model.timeouts.into(),
            rewrite_response: model.rewrite_response,
            source,
            created_at,
            updated_at,
            problem: None,
        }
    }
}

/// The provider that is written inline in a model, its address, and its name for the model.
fn inline<'c>(target: &'c ModelTarget, config: &'c Config) -> Option<(&'c Provider, &'c http::Uri, &'c str)> {
    let provider = config.providers.get(target.provider)?;
    match &provider.endpoint {
        ProviderEndpoint::Complete(uri) => Some((provider, uri, &target.upstream_model)),
        ProviderEndpoint::Base(_) | ProviderEndpoint::Simulator { .. } => None,
    }
}

impl TargetView {
    fn of(target: &ModelTarget, config: &Config) -> Option<Self> {
        let ModelTarget { provider, upstream_model, weight, priority } = target;
        let provider = config.providers.get(*provider)?.name.clone();
        Some(Self { provider, model: upstream_model.clone(), weight: *weight, priority: *priority })
    }
}

impl From<Hedge> for HedgeView {
    fn from(hedge: Hedge) -> Self {
        let after = match hedge.after {
            HedgeDelay::Fixed(delay) => duration(delay),
            HedgeDelay::Quantile(share) => format!("p{:.0}", share * 100.0),
        };
        Self { after, max: hedge.max }
    }
}

const fn affinity_name(affinity: Affinity) -> &'static str {
    match affinity {
        Affinity::Session => "session",
        Affinity::PromptPrefix => "prompt_prefix",
    }
}
