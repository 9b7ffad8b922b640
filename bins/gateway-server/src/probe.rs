//! Whether a provider answers: asked with a real request, the smallest there is.
//!
//! The request takes the way of every call, through a gateway that has this one provider and nothing else. So it is made,
//! sent and judged like any other, and leaves no trace in the health, the limits and the logs of the gateway that serves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gateway_admin::Prober;
use gateway_config::{Config, Mapping, Provider, Timeouts};
use gateway_core::Gateway;
use gateway_core::call::{Event, Observer, Outcome, TimeoutPhase};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::service::Service;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

/// What is read of an answer, in bytes. The request asks for one token.
const MAX_ANSWER: usize = 1 << 20;

/// How many requests of administrators are on their way at once. Checks in the background have a bound of their own, lest
/// somebody who looks into a fault wait for them.
const MAX_AT_ONCE: usize = 16;

/// What stands around the provider that is asked.
const ALONE: &str = "auth: none\nretry: { max_retries: 0 }\n";

/// Asks the providers that a gateway serves.
pub(crate) struct Probes {
    gateway: Gateway,
    places: Semaphore,
}

impl Probes {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self { gateway, places: Semaphore::new(MAX_AT_ONCE) }
    }
}

impl Prober for Probes {
    fn probe<'a>(
        &'a self,
        provider: &'a str,
        model: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Duration, String>> {
        Box::pin(async move {
            let config = self.gateway.config();
            let provider = config.providers.iter().find(|it| it.name == provider);
            let provider =
                provider.ok_or_else(|| "there is no such provider in the configuration in force".to_owned())?;
            // They are never closed, so there is a place at some time.
            let _place = self.places.acquire().await;
            probe(provider, model, limit).await.map_err(|failure| failure.reason)
        })
    }
}

/// Why a provider has not answered as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What came of it, by a constant name: that of the attempt's outcome, if there was an attempt.
    pub(crate) class: &'static str,
    /// The same in words, for administrators: a provider's own are among them. Holds no secret.
    pub(crate) reason: String,
}

/// Asks a provider for a model by its public name, and says how long the answer took.
///
/// # Errors
///
/// It has not answered within the limit, or not as it should.
pub(crate) async fn probe(provider: &Provider, model: &str, limit: Duration) -> Result<Duration, Failure> {
    let unsent = |reason| Failure { class: UNSENT, reason };
    let alone = alone(provider, model, limit).map_err(unsent)?;
    let verdict = Arc::new(Verdict::default());
    let builder = Gateway::builder().observer(Arc::<Verdict>::clone(&verdict));
    let gateway = builder.build(&alone).map_err(|errors| unsent(errors.to_string()))?;
    let began = Instant::now();
    // Whoever asks is told of what went wrong. In the log it would look like a caller's failure.
    let asked = ask(&gateway, model).with_subscriber(Dispatch::none());
    match timeout(limit, asked).await {
        Ok(Ok(())) => Ok(began.elapsed()),
        Ok(Err(reason)) => Err(Failure { class: verdict.class(), reason }),
        Err(_) => {
            let reason = format!("it has not answered within {} s", limit.as_secs_f64());
            Err(Failure { class: Outcome::Timeout(TimeoutPhase::Total).name(), reason })
        }
    }
}

/// Nothing could be sent.
const UNSENT: &str = "not_sent";

/// What came of the last call.
#[derive(Default)]
struct Verdict(Mutex<Option<&'static str>>);

impl Observer for Verdict {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(call) = event {
            let outcome = call.attempts.last().map(|attempt| attempt.outcome);
            // An answer that broke off has begun as a success.
            let failed = outcome.filter(|outcome| *outcome != Outcome::Success).map(Outcome::name);
            *self.0.lock() = failed.or(call.error);
        }
    }
}

impl Verdict {
    fn class(&self) -> &'static str {
        self.0.lock().unwrap_or(UNSENT)
    }
}

/// A configuration with this provider alone, that tries nothing twice. Of its mapping it has what the model needs: a provider
/// may have ten thousand names, and each of them is asked about.
fn alone(provider: &Provider, model: &str, limit: Duration) -> Result<Config, String> {
    let fits = |mapping: &&Mapping| mapping.public.as_str() == model || mapping.public.matches(model);
    let model_mapping: Vec<_> = provider.model_mapping.iter().filter(fits).cloned().collect();
    if model_mapping.is_empty() && !provider.model_mapping.is_empty() {
        return Err(format!("its `model_mapping` has no `{model}`"));
    }
    let timeouts = Timeouts { total: limit.min(provider.timeouts.total), ..provider.timeouts };
    let mut config = Config::from_yaml(ALONE).map_err(|errors| errors.to_string())?;
    config.providers = vec![Provider {
        name: provider.name.clone(),
        kind: provider.kind.clone(),
        endpoint: provider.endpoint.clone(),
        api_keys: provider.api_keys.clone(),
        weight: provider.weight,
        model_mapping,
        max_in_flight: None,
        headers: provider.headers.clone(),
        forward_headers: Vec::new(),
        verify_ssl: provider.verify_ssl,
        timeouts,
        health_check: None,
        resolvable: true,
        enabled: true,
        origin: provider.origin,
    }];
    Ok(config)
}

/// Models that answer chats are asked for one token. Some take its limit by another name only, and say so.
async fn ask(gateway: &Gateway, model: &str) -> Result<(), String> {
    if model.contains("embed") {
        return send(gateway, "/v1/embeddings", &json!({ "model": model, "input": "hi" }))
            .await
            .map_err(|(_, why)| why);
    }
    let chat = |limit: &str| {
        let mut chat = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
        chat[limit] = Value::from(if limit == "max_tokens" { 1 } else { 16 });
        chat
    };
    match send(gateway, "/v1/chat/completions", &chat("max_tokens")).await {
        Err((StatusCode::BAD_REQUEST, why)) if why.contains("max_completion_tokens") => {
            send(gateway, "/v1/chat/completions", &chat("max_completion_tokens")).await.map_err(|(_, why)| why)
        }
        answered => answered.map_err(|(_, why)| why),
    }
}

async fn send(gateway: &Gateway, path: &str, body: &Value) -> Result<(), (StatusCode, String)> {
    let request =
        Request::post(path).header(header::HOST, "localhost").header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body.to_string())));
    let internal = |problem: String| (StatusCode::INTERNAL_SERVER_ERROR, problem);
    let request = request.map_err(|error| internal(error.to_string()))?;
    let Ok(answer) = gateway.service().call(request).await;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| internal(format!("the answer broke off: {error}")))?.to_bytes();
    if status.is_success() {
        return Ok(());
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    Err((status, failure(status, &said)))
}

/// What went wrong, for whoever administers the provider: with its own status if it has answered, because callers are told
/// another.
fn failure(status: StatusCode, said: &Value) -> String {
    let attempts = said["gateway"]["attempts"].as_array();
    let upstream = attempts.and_then(|attempts| attempts.last()).and_then(|last| last["status"].as_u64());
    match upstream {
        Some(refused @ 401..=403) => format!("{refused}: it refuses the credentials; check `api_key`"),
        Some(upstream) => format!("{upstream}: {}", words(said)),
        None => format!("{}: {}", status.as_u16(), words(said)),
    }
}

fn words(said: &Value) -> &str {
    said["error"]["message"].as_str().unwrap_or("no reason was given")
}
