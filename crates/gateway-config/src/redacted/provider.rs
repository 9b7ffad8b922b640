//! `providers`.

use gateway_keystore::preview;
use gateway_ratelimit::Price;
use gateway_secret::Secret;
use http::Uri;
use serde::Serialize;

use super::{HIDDEN, Ordered, RedactedHealthCheck, RedactedTimeouts};
use crate::config::{Mapping, Origin, Provider, ProviderEndpoint};

/// One of `providers`, without its credentials. Made by [`Provider::redacted`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedProvider {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// None for the simulator inside this binary, and for a provider that is written inline in a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_base: Option<String>,
    /// Each key's first and last characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<String>,
    pub weight: u32,
    pub enabled: bool,
    pub model_mapping: Ordered<RedactedMapping>,
    /// Every value is `***`.
    pub headers: Ordered<&'static str>,
    pub forward_headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    pub verify_ssl: bool,
    pub timeouts: RedactedTimeouts,
    /// `false` if it is not checked, for whatever reason.
    pub health_check: RedactedHealthCheck,
    /// Where the provider was written, which a file does not say.
    #[serde(skip)]
    pub origin: Origin,
}

/// What a public name is mapped to: the upstream's name, or `*` for the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RedactedMapping {
    /// The upstream's name alone.
    Name(String),
    /// The upstream's name and what it costs, in US dollars.
    Priced {
        /// The upstream's name.
        mapped_model: String,
        /// For a million tokens of prompts.
        input_cost_per_million_tokens: f64,
        /// For a million tokens of answers.
        output_cost_per_million_tokens: f64,
    },
}

impl Provider {
    /// The provider without its credentials, as it would stand in a file that leaves nothing to defaults.
    pub fn redacted(&self) -> RedactedProvider {
        RedactedProvider::from(self)
    }
}

impl From<&Provider> for RedactedProvider {
    fn from(provider: &Provider) -> Self {
        let (kind, api_base) = match &provider.endpoint {
            ProviderEndpoint::Base(uri) => (provider.kind.clone(), Some(uri.to_string())),
            ProviderEndpoint::Complete(_) => (provider.kind.clone(), None),
            ProviderEndpoint::Simulator { .. } => ("simulator".to_owned(), None),
        };
        let mapping = provider.model_mapping.iter();
        Self {
            name: provider.name.clone(),
            kind,
            api_base,
            api_keys: previews(&provider.api_keys),
            weight: provider.weight,
            enabled: provider.enabled,
            model_mapping: Ordered(mapping.map(|it| (it.public.as_str().to_owned(), it.into())).collect()),
            headers: Ordered(provider.headers.iter().map(|(name, _)| (name.to_string(), HIDDEN)).collect()),
            forward_headers: provider.forward_headers.iter().map(ToString::to_string).collect(),
            max_in_flight: provider.max_in_flight,
            verify_ssl: provider.verify_ssl,
            timeouts: RedactedTimeouts::from(&provider.timeouts),
            health_check: RedactedHealthCheck::from(provider.health_check.as_ref()),
            origin: provider.origin,
        }
    }
}

impl From<&Mapping> for RedactedMapping {
    fn from(mapping: &Mapping) -> Self {
        let mapped_model = mapping.upstream.clone().unwrap_or_else(|| "*".to_owned());
        if mapping.price == Price::default() {
            return Self::Name(mapped_model);
        }
        Self::Priced {
            mapped_model,
            input_cost_per_million_tokens: dollars(mapping.price.input),
            output_cost_per_million_tokens: dollars(mapping.price.output),
        }
    }
}

/// Dollars for a million tokens, from trillionths for one.
#[expect(clippy::cast_precision_loss, reason = "prices are far below 2^53 trillionths, and were read from an f64")]
fn dollars(trillionths: u64) -> f64 {
    trillionths as f64 / 1e6
}

/// What may be shown of keys.
pub(super) fn previews(keys: &[Secret]) -> Vec<String> {
    keys.iter().map(|key| preview(key.expose())).collect()
}

/// A complete URL. Its query may hold a credential.
pub(super) fn without_query(uri: &Uri) -> String {
    let text = uri.to_string();
    text.split_once('?').map_or_else(|| text.clone(), |(address, _)| format!("{address}?{HIDDEN}"))
}
