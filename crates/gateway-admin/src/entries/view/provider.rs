//! A provider as administrators see it.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_config::{Config, HealthCheck, Mapping, Provider, ProviderEndpoint, TimeoutOverrides, Timeouts};
use gateway_keystore::preview;
use gateway_secret::Secret;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::whereabouts;
use crate::entries::draft::HIDDEN;
use crate::master_keys::KeySource;

/// A provider.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ProviderView {
    /// Its name.
    pub id: String,
    /// The protocol that it speaks.
    pub provider_type: String,
    /// Where it is; null for the simulator.
    pub api_base: Option<String>,
    /// The first and last characters of its key, or of the first of several; null if it has none.
    pub api_key_preview: Option<String>,
    /// The same of all its keys, if it has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_key_previews: Vec<String>,
    /// Its share among providers of the same model.
    pub weight: u32,
    /// Whether it takes calls.
    pub is_enabled: bool,
    /// Public names to its own names for models, in the order in which patterns are tried. Empty, it takes any name.
    #[serde(serialize_with = "in_order")]
    #[schemars(with = "BTreeMap<String, MappingView>")]
    pub model_mapping: Vec<(String, MappingView)>,
    /// The names of the headers that are added to every request; the values are not shown.
    pub headers: BTreeMap<String, String>,
    /// Names of callers' headers that are let through besides the usual ones.
    pub forward_headers: Vec<String>,
    /// The most requests that it is sent at once; null for any number.
    pub max_in_flight: Option<u32>,
    /// Whether its certificate is checked.
    pub verify_ssl: bool,
    /// Its timeouts.
    pub timeouts: TimeoutsView,
    /// How it is asked in the background whether it answers, as long as it takes calls; false if it is not, for whatever reason.
    pub health_check: HealthCheckView,
    /// Where it is kept.
    pub source: KeySource,
    /// When it was made; null if it is in the file.
    pub created_at: Option<Timestamp>,
    /// When it was last changed; null if it is in the file.
    pub updated_at: Option<Timestamp>,
    /// There if the store has another provider of this name, which is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The provider's name for a model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MappingView {
    /// The name; `*` is the public one.
    Name(String),
    /// The name and the price of a million tokens in US dollars.
    Priced {
        /// The name.
        mapped_model: String,
        /// Of the prompt.
        input_cost_per_million_tokens: f64,
        /// Of the answer.
        output_cost_per_million_tokens: f64,
    },
}

/// Durations such as `500ms` and `2s`; null where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Timeouts")]
pub struct TimeoutsView {
    /// For a connection to be made.
    pub connect: Option<String>,
    /// For the head of an answer.
    pub headers: Option<String>,
    /// For the first content of a stream.
    pub first_token: Option<String>,
    /// Between two parts of an answer.
    pub idle: Option<String>,
    /// For the whole.
    pub total: Option<String>,
}

/// How a provider is asked in the background whether it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "HealthCheck")]
pub enum HealthCheckView {
    /// Not at all.
    Off(#[schemars(extend("const" = false))] bool),
    /// With a small real call.
    On {
        /// The public name of the model that it is asked for.
        model: String,
        /// How often, such as `30s`.
        interval: String,
        /// How long the answer may take.
        timeout: String,
    },
}

/// Every provider that has a name of its own, those that are switched off among them.
pub(super) fn all(config: &Config) -> impl Iterator<Item = &Provider> {
    config.providers.iter().filter(|provider| provider.resolvable).chain(&config.disabled_providers)
}

impl From<&Provider> for ProviderView {
    fn from(provider: &Provider) -> Self {
        let (kind, base) = match &provider.endpoint {
            ProviderEndpoint::Simulator { .. } => ("simulator", None),
            ProviderEndpoint::Base(uri) | ProviderEndpoint::Complete(uri) => (&*provider.kind, Some(address(uri))),
        };
        let (source, created_at, updated_at) = whereabouts(provider.origin);
        let hidden = |name: &http::HeaderName| (name.to_string(), HIDDEN.to_owned());
        Self {
            id: provider.name.clone(),
            provider_type: kind.to_owned(),
            api_base: base,
            api_key_preview: provider.api_keys.first().map(|key| preview(key.expose())),
            api_key_previews: previews(&provider.api_keys),
            weight: provider.weight,
            is_enabled: provider.enabled,
            model_mapping: provider.model_mapping.iter().map(MappingView::of).collect(),
            headers: provider.headers.iter().map(|(name, _)| hidden(name)).collect(),
            forward_headers: provider.forward_headers.iter().map(ToString::to_string).collect(),
            max_in_flight: provider.max_in_flight,
            verify_ssl: provider.verify_ssl,
            timeouts: provider.timeouts.into(),
            health_check: provider.health_check.as_ref().into(),
            source,
            created_at,
            updated_at,
            problem: None,
        }
    }
}

impl MappingView {
    fn of(mapping: &Mapping) -> (String, Self) {
        /// Prices are kept in millionths of a dollar for a million tokens.
        fn usd(price: u64) -> f64 {
            #[expect(clippy::cast_precision_loss, reason = "exact to nine billion dollars, and for people to read")]
            let millionths = price as f64;
            millionths / 1e6
        }
        let name = mapping.upstream.clone().unwrap_or_else(|| "*".to_owned());
        let view = match mapping.price {
            gateway_ratelimit::Price { input: 0, output: 0 } => Self::Name(name),
            price => Self::Priced {
                mapped_model: name,
                input_cost_per_million_tokens: usd(price.input),
                output_cost_per_million_tokens: usd(price.output),
            },
        };
        (mapping.public.as_str().to_owned(), view)
    }
}

impl From<Timeouts> for TimeoutsView {
    fn from(timeouts: Timeouts) -> Self {
        Self {
            connect: Some(duration(timeouts.connect)),
            headers: Some(duration(timeouts.headers)),
            first_token: Some(duration(timeouts.first_token)),
            idle: Some(duration(timeouts.idle)),
            total: Some(duration(timeouts.total)),
        }
    }
}

impl From<Option<&HealthCheck>> for HealthCheckView {
    fn from(check: Option<&HealthCheck>) -> Self {
        let Some(HealthCheck { model, interval, timeout }) = check else { return Self::Off(false) };
        Self::On { model: model.clone(), interval: duration(*interval), timeout: duration(*timeout) }
    }
}

impl From<TimeoutOverrides> for TimeoutsView {
    fn from(timeouts: TimeoutOverrides) -> Self {
        Self {
            connect: timeouts.connect.map(duration),
            headers: timeouts.headers.map(duration),
            first_token: timeouts.first_token.map(duration),
            idle: timeouts.idle.map(duration),
            total: timeouts.total.map(duration),
        }
    }
}

/// As administrators write it.
pub(super) fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds.is_multiple_of(1000) { format!("{}s", milliseconds / 1000) } else { format!("{milliseconds}ms") }
}

/// An address without a query, in which other programs put keys.
pub(super) fn address(uri: &http::Uri) -> String {
    let text = uri.to_string();
    match text.split_once('?') {
        Some((address, _)) => format!("{address}?{HIDDEN}"),
        None => text,
    }
}

/// Of several keys.
pub(super) fn previews(keys: &[Secret]) -> Vec<String> {
    let several = if keys.len() > 1 { keys } else { &[] };
    several.iter().map(|key| preview(key.expose())).collect()
}

fn in_order<S: Serializer>(entries: &[(String, MappingView)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(entries.len()))?;
    entries.iter().try_for_each(|(public, mapping)| object.serialize_entry(public, mapping))?;
    object.end()
}
