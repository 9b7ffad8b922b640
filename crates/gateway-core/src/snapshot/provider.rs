//! A provider, ready to be sent requests.

use std::sync::{Arc, OnceLock};

use gateway_call::{Endpoint, Label};
use gateway_config::{Config, Model, Provider as ProviderConfig, ProviderEndpoint};
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
use super::carried::{Former, ProviderState};
use super::prices::Prices;
use crate::gate::{Crowded, Entrance, Place, Room};
use crate::redact::Redactor;

/// What upstreams see as `user-agent`.
const USER_AGENT: &str = concat!("llm-gateway/", env!("CARGO_PKG_VERSION"));

/// One upstream account with everything that does not change from call to call made once.
#[derive(Debug)]
pub(crate) struct ProviderRuntime {
    /// Its configured name.
    pub(crate) name: Label,
    /// The name as answers show it; none if it cannot stand in a header.
    pub(crate) shown: Option<HeaderValue>,
    /// Its type, as configured.
    pub(crate) kind: Label,
    /// The protocol it speaks.
    pub(crate) protocol: Arc<dyn Provider>,
    /// What outlives this configuration.
    pub(crate) state: ProviderState,
    /// The health of what is passed through to it, if it is the one that gets that.
    pub(crate) passthrough: Option<Arc<TargetHealth>>,
    /// Takes this provider's credentials out of its words.
    pub(crate) redactor: Redactor,
    /// Whether the words of its errors are logged.
    pub(crate) logs_words: bool,
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
    /// Where each endpoint is, in the order of `Endpoint::ALL`; joined when the first is asked for, which is never so of most
    /// providers.
    urls: OnceLock<Box<[Uri]>>,
    base: Uri,
    /// Whether every call goes to the base itself.
    is_complete: bool,
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
        // The order of `Endpoint::ALL` is that of the variants.
        self.urls.get_or_init(|| self.join_all()).get(endpoint as usize).unwrap_or(&self.base)
    }

    fn join_all(&self) -> Box<[Uri]> {
        if self.is_complete {
            return Box::default();
        }
        // That the base can be joined with the longest path was found when it was compiled.
        let joined = |endpoint| join(&self.base, self.protocol.url_path(endpoint)).unwrap_or_else(|| self.base.clone());
        Endpoint::ALL.into_iter().map(joined).collect()
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

    /// Whether it holds these, of all that it is made of beside its own settings.
    fn has(&self, state: &ProviderState, passthrough: Option<&Arc<TargetHealth>>, room: Option<Room>) -> bool {
        let same_passthrough = match (&self.passthrough, passthrough) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        // Its connections and credentials rest on its own settings.
        same_passthrough && Arc::ptr_eq(&self.state.budget, &state.budget) && self.room == room
    }

    /// The URL for a path below `/v1` and its query, which the caller of this function has found to be harmless.
    pub(crate) fn passthrough_url(&self, below_v1: &str) -> Option<Uri> {
        join(&self.base, below_v1)
    }
}

/// Builds every provider; what cannot be built goes into the build's errors.
pub(super) fn compile(build: &mut Build<'_>, protocols: &Registry<dyn Provider>) -> Vec<Arc<ProviderRuntime>> {
    let config = build.config;
    let mut runtimes = Vec::with_capacity(config.providers.len());
    for (index, provider) in config.providers.iter().enumerate() {
        match compile_one(index, provider, protocols, build) {
            Ok(runtime) => runtimes.push(runtime),
            Err(problem) => build.report(entry(index, config), problem),
        }
    }
    runtimes
}

/// The key path of the entry that a provider was written in: its own, or that of the model that has it inline.
pub(super) fn entry(place: usize, config: &Config) -> String {
    let Some(provider) = config.providers.get(place) else { return "providers".to_owned() };
    let is_its = |model: &&Model| model.targets.iter().any(|target| target.provider == place);
    let model = config.models.iter().filter(|_| !provider.resolvable).find(is_its);
    model.map_or_else(|| format!("providers.{}", provider.name), |model| format!("models.{}", model.name))
}

fn compile_one(
    index: usize,
    config: &ProviderConfig,
    protocols: &Registry<dyn Provider>,
    build: &mut Build<'_>,
) -> Result<Arc<ProviderRuntime>, String> {
    let former = build.previous.and_then(|snapshot| Former::find(snapshot, config));
    let state = build.carried.provider(config, former, build.now, || upstream(config))?;
    let passthrough = (build.config.passthrough == Some(index))
        .then(|| build.carried.target(index, &PASSTHROUGH.into(), build.previous, build.now));
    let room = config.max_in_flight.map(|limit| Room { limit: limit as usize, queue: build.config.server.queue });
    let logs_words = build.config.logging.upstream_errors;
    let unchanged = former.filter(|it| {
        it.is_unchanged && it.runtime.logs_words == logs_words && it.runtime.has(&state, passthrough.as_ref(), room)
    });
    if let Some(former) = unchanged {
        return Ok(Arc::clone(former.runtime));
    }
    let protocol = protocols.build_default(&config.kind).map_err(|error| format!("type: {error}"))?;
    let base = base(config)?;
    let is_complete = matches!(config.endpoint, ProviderEndpoint::Complete(_));
    if !is_complete {
        check_paths(base, protocol.as_ref())?;
    }
    let headers = all_headers(config, protocol.as_ref())?;
    Ok(Arc::new(ProviderRuntime {
        name: Label::of(&config.name),
        shown: HeaderValue::from_bytes(config.name.as_bytes()).ok(),
        kind: Label::of(&config.kind),
        protocol,
        state,
        passthrough,
        redactor: Redactor::new(&headers),
        logs_words,
        forward_headers: config.forward_headers.clone(),
        timeouts: config.timeouts,
        room,
        prices: Prices::of(&config.model_mapping),
        headers,
        urls: OnceLock::new(),
        base: base.clone(),
        is_complete,
    }))
}

/// Whether the URL of each endpoint can be made: a path can only be too long.
fn check_paths(base: &Uri, protocol: &dyn Provider) -> Result<(), String> {
    let paths = Endpoint::ALL.into_iter().map(|endpoint| protocol.url_path(endpoint));
    let longest = paths.max_by_key(|path| path.len()).and_then(|path| join(base, path));
    longest.map(drop).ok_or_else(|| format!("api_base: `{base}` cannot be joined with a path"))
}

fn base(config: &ProviderConfig) -> Result<&Uri, String> {
    match &config.endpoint {
        ProviderEndpoint::Base(uri)
        | ProviderEndpoint::Complete(uri)
        | ProviderEndpoint::Simulator { at: Some(uri) } => Ok(uri),
        ProviderEndpoint::Simulator { at: None } => Err(NO_SIMULATOR.to_owned()),
    }
}

const NO_SIMULATOR: &str = "type: the simulator has no address here; the server starts one, an embedder sets `api_base` \
                            to one that it runs";

fn upstream(config: &ProviderConfig) -> Result<Upstream, String> {
    let origin = Origin::from_uri(base(config)?).map_err(|error| format!("api_base: {error}"))?;
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
    let joined = [base.path().trim_end_matches('/'), path].concat();
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
