//! A provider, ready to be sent requests.

use std::sync::Arc;

use gateway_call::Endpoint;
use gateway_config::{Provider as ProviderConfig, ProviderEndpoint};
use gateway_extension::Registry;
use gateway_protocol::Provider;
use gateway_resilience::TargetHealth;
use gateway_secret::Secret;
use gateway_upstream::{Origin, Timeouts, Upstream, UpstreamConfig};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Uri, uri};
use tokio::time::Instant;

use super::Build;
use super::carried::ProviderState;
use super::prices::Prices;
use crate::gate::{Crowded, Entrance, Place, Room};
use crate::redact::Redactor;

/// What upstreams see as `user-agent`.
const USER_AGENT: &str = concat!("llm-gateway/", env!("CARGO_PKG_VERSION"));

/// One upstream account with everything that does not change from call to call made once.
#[derive(Debug)]
pub(crate) struct ProviderRuntime {
    /// Its configured name.
    pub(crate) name: Arc<str>,
    /// The protocol it speaks.
    pub(crate) protocol: Arc<dyn Provider>,
    /// What outlives this configuration.
    pub(crate) state: ProviderState,
    /// The health of what is passed through to it, if it is the one that gets that.
    pub(crate) passthrough: Option<Arc<TargetHealth>>,
    /// Takes this provider's credentials out of its words.
    pub(crate) redactor: Redactor,
    /// Caller headers let through besides the standard list.
    pub(crate) forward_headers: Vec<HeaderName>,
    /// How long each phase of a call may take.
    pub(crate) timeouts: Timeouts,
    /// How much it takes at once, if that is limited.
    pub(crate) room: Option<Room>,
    /// What models cost.
    pub(crate) prices: Prices,
    /// For each credential, the headers of every request: the credential, the configured ones, the gateway's own.
    headers: Vec<HeaderMap>,
    urls: Vec<Uri>,
    base: Uri,
}

/// The name under which the health of passed-through requests is kept, instead of a model's.
pub(super) const PASSTHROUGH: &str = "/v1/*";

impl ProviderRuntime {
    /// The headers of every request with the credential of this number; a provider without any has one set of headers.
    pub(crate) fn headers(&self, credential: usize) -> &HeaderMap {
        self.headers.get(credential).unwrap_or(&self.headers[0])
    }

    /// Where requests of an endpoint go.
    pub(crate) fn url(&self, endpoint: Endpoint) -> &Uri {
        // One URL per endpoint was made, in the order of `Endpoint::ALL`, which is that of the variants.
        self.urls.get(endpoint as usize).unwrap_or(&self.base)
    }

    /// One of its places, if there is one now that nobody waits for; none is needed if it has any number of them.
    pub(crate) fn try_enter(&self, account: &Arc<str>) -> Result<Option<Place>, Crowded> {
        match self.room {
            Some(room) => self.state.gate.try_enter(room, account).ok_or(Crowded::NOW).map(Some),
            None => Ok(None),
        }
    }

    /// Where to wait for one of its places, until that is of no use; nowhere if it has any number of them.
    pub(crate) fn entrance(&self, until: Instant) -> Option<Entrance<'_>> {
        self.room.map(|room| Entrance { gate: &self.state.gate, room, until: Some(until) })
    }

    /// The URL for a path below `/v1` and its query, which the caller of this function has found to be harmless.
    pub(crate) fn passthrough_url(&self, below_v1: &str) -> Option<Uri> {
        join(&self.base, below_v1)
    }
}

/// Builds every provider; what cannot be built goes into the build's errors.
pub(super) fn compile(build: &mut Build<'_>, protocols: &Registry<dyn Provider>) -> Vec<ProviderRuntime> {
    let config = build.config;
    let mut runtimes = Vec::with_capacity(config.providers.len());
    for (index, provider) in config.providers.iter().enumerate() {
        match compile_one(provider, config.passthrough == Some(index), protocols, build) {
            Ok(runtime) => runtimes.push(runtime),
            Err(problem) => build.report(format!("providers.{}", provider.name), problem),
        }
    }
    runtimes
}

fn compile_one(
    config: &ProviderConfig,
    gets_unknown_paths: bool,
    protocols: &Registry<dyn Provider>,
    build: &mut Build<'_>,
) -> Result<ProviderRuntime, String> {
    let protocol = protocols.build_default(&config.kind).map_err(|error| format!("type: {error}"))?;
    let (base, complete) = match &config.endpoint {
        ProviderEndpoint::Base(uri) => (uri, false),
        ProviderEndpoint::Complete(uri) => (uri, true),
        ProviderEndpoint::Simulator => return Err(NO_SIMULATOR.to_owned()),
    };
    let url = |endpoint: Endpoint| if complete { Some(base.clone()) } else { join(base, protocol.url_path(endpoint)) };
    let urls: Option<Vec<Uri>> = Endpoint::ALL.into_iter().map(url).collect();
    let headers = all_headers(config, protocol.as_ref())?;
    let state = build.carried.provider(config, build.previous, build.now, || upstream(config, base))?;
    let passthrough =
        gets_unknown_paths.then(|| build.carried.target(&config.name, PASSTHROUGH, build.previous, build.now));
    Ok(ProviderRuntime {
        name: config.name.as_str().into(),
        state,
        passthrough,
        redactor: Redactor::new(&headers),
        headers,
        forward_headers: config.forward_headers.clone(),
        timeouts: config.timeouts,
        room: config.max_in_flight.map(|limit| Room { limit: limit as usize, queue: build.config.server.queue }),
        prices: Prices::of(&config.model_mapping),
        urls: urls.ok_or_else(|| format!("api_base: `{base}` cannot be joined with a path"))?,
        base: base.clone(),
        protocol,
    })
}

const NO_SIMULATOR: &str = "type: the simulator has no address here; the server starts one, an embedder sets `api_base` \
                            to one that it runs";

fn upstream(config: &ProviderConfig, base: &Uri) -> Result<Upstream, String> {
    let origin = Origin::from_uri(base).map_err(|error| format!("api_base: {error}"))?;
    let settings = UpstreamConfig { verify_certificates: config.verify_ssl, ..UpstreamConfig::new(origin) };
    Upstream::new(settings).map_err(|error| error.to_string())
}

/// One set of headers per credential, at least one.
fn all_headers(config: &ProviderConfig, protocol: &dyn Provider) -> Result<Vec<HeaderMap>, String> {
    if config.api_keys.is_empty() {
        return Ok(vec![headers(config, protocol, None)?]);
    }
    config.api_keys.iter().map(|credential| headers(config, protocol, Some(credential))).collect()
}

fn headers(config: &ProviderConfig, protocol: &dyn Provider, credential: Option<&Secret>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // A compressed answer could not be looked into.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(credential) = credential {
        protocol.authorize(&mut headers, credential).map_err(|error| format!("api_key: {error}"))?;
    }
    for (name, value) in &config.headers {
        headers.insert(name.clone(), value.clone());
    }
    Ok(headers)
}

/// A base URL with a path, and possibly a query, behind its own path.
fn join(base: &Uri, path: &str) -> Option<Uri> {
    let joined = format!("{}{path}", base.path().trim_end_matches('/'));
    let mut parts = uri::Parts::from(base.clone());
    parts.path_and_query = Some(PathAndQuery::try_from(joined).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_behind_the_base() {
        let joined = |base: &'static str, path| join(&Uri::from_static(base), path).unwrap().to_string();
        assert_eq!(
            joined("https://api.openai.com/v1", "/chat/completions"),
            "https://api.openai.com/v1/chat/completions"
        );
        assert_eq!(joined("http://127.0.0.1:8080", "/files?limit=2"), "http://127.0.0.1:8080/files?limit=2");
    }
}
