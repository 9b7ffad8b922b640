//! `models`.

use serde::Serialize;

use super::provider::{previews, without_query};
use crate::config::{
    Affinity, Config, Hedge, HedgeDelay, Model, ModelTarget, Origin, Provider, ProviderEndpoint, TimeoutOverrides,
};
use crate::section::target::{BY_PRIORITY, DEFAULT_PRIORITY};
use crate::unit::shown_duration;

/// One of `models`, without the credentials of an inline provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedModel {
    pub balance: String,
    /// None if every provider that maps the name is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<RedactedTarget>,
    /// The complete URL of an inline provider, without its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The first and last characters of an inline provider's keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<String>,
    /// The upstream's name at an inline provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    pub fallback_models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<RedactedHedge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<&'static str>,
    pub timeouts: RedactedTimeoutOverrides,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite_response: Option<bool>,
    /// Where the model was written, which a file does not say.
    #[serde(skip)]
    pub origin: Origin,
}

/// One of `targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedTarget {
    pub provider: String,
    pub model: String,
    pub weight: u32,
    /// None if it is that of a target which names none, and most likely nobody looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
}

/// `hedge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedHedge {
    /// A duration or a percentile, such as `p95`.
    pub after: String,
    pub max: u32,
}

/// `timeouts` where set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedTimeoutOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
}

impl RedactedModel {
    /// A model of a configuration.
    pub(super) fn new(model: &Model, config: &Config) -> Self {
        let inline = inline(model, config);
        let targets = if inline.is_some() { &[] } else { &model.targets[..] };
        Self {
            balance: model.balance.clone(),
            targets: targets.iter().filter_map(|target| redacted_target(target, model, config)).collect(),
            endpoint: inline.and_then(|(provider, _)| match &provider.endpoint {
                ProviderEndpoint::Complete(uri) => Some(without_query(uri)),
                ProviderEndpoint::Base(_) | ProviderEndpoint::Simulator { .. } => None,
            }),
            api_keys: inline.map(|(provider, _)| previews(&provider.api_keys)).unwrap_or_default(),
            model: inline.map(|(_, target)| target.upstream_model.clone()),
            max_retries: model.max_retries,
            fallback_models: model.fallback_models.clone(),
            hedge: model.hedge.map(RedactedHedge::from),
            affinity: model.affinity.map(|affinity| match affinity {
                Affinity::Session => "session",
                Affinity::PromptPrefix => "prompt_prefix",
            }),
            timeouts: RedactedTimeoutOverrides::from(model.timeouts),
            rewrite_response: model.rewrite_response,
            origin: model.origin,
        }
    }
}

/// The provider that is written inline in a model, if one is.
fn inline<'c>(model: &'c Model, config: &'c Config) -> Option<(&'c Provider, &'c ModelTarget)> {
    let target = model.targets.first()?;
    let provider = config.providers.get(target.provider)?;
    (!provider.resolvable).then_some((provider, target))
}

fn redacted_target(target: &ModelTarget, model: &Model, config: &Config) -> Option<RedactedTarget> {
    Some(RedactedTarget {
        provider: config.providers.get(target.provider)?.name.clone(),
        model: target.upstream_model.clone(),
        weight: target.weight,
        priority: (model.balance == BY_PRIORITY || target.priority != DEFAULT_PRIORITY).then_some(target.priority),
    })
}

impl From<Hedge> for RedactedHedge {
    fn from(hedge: Hedge) -> Self {
        let after = match hedge.after {
            HedgeDelay::Fixed(delay) => shown_duration(delay),
            HedgeDelay::Quantile(share) => format!("p{:.0}", share * 100.0),
        };
        Self { after, max: hedge.max }
    }
}

impl From<TimeoutOverrides> for RedactedTimeoutOverrides {
    fn from(timeouts: TimeoutOverrides) -> Self {
        Self {
            connect: timeouts.connect.map(shown_duration),
            headers: timeouts.headers.map(shown_duration),
            first_token: timeouts.first_token.map(shown_duration),
            idle: timeouts.idle.map(shown_duration),
            total: timeouts.total.map(shown_duration),
        }
    }
}
