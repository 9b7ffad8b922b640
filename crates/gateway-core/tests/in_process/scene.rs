//! A gateway within the test's own process, between its caller and two scripted upstreams.
//!
//! That is how the inside of a call is seen: its future can be dropped between any two polls, and the gateway says at the
//! same moment what is in flight.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use gateway_config::Config;
use gateway_core::call::{Event, Observer};
use gateway_core::resilience::BreakerState;
use gateway_core::{AnswerBody, Gateway};
use gateway_testing::{FakeUpstream, Script};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use parking_lot::Mutex;

/// A request's body of whatever kind.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A gateway, its upstreams, and what it settled.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    /// `MAIN`.
    pub(crate) main: FakeUpstream,
    /// `SPARE`.
    pub(crate) spare: FakeUpstream,
    ledger: Arc<Ledger>,
}

/// A call that was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) status: u16,
    /// `provider:outcome` of each attempt.
    pub(crate) attempts: Vec<String>,
    /// The provider that the call is ascribed to.
    pub(crate) served_by: Option<String>,
    /// Bytes of the answer's body that left, and how long after the request's head the first of them did.
    pub(crate) bytes_out: u64,
    pub(crate) first_byte: Option<Duration>,
}

#[derive(Default)]
struct Ledger(Mutex<Vec<Settled>>);

impl Observer for Ledger {
    fn on_event(&self, event: &Event<'_>) {
        let Event::Settled(record) = event else { return };
        let attempts = record.attempts.iter().map(|it| format!("{}:{}", it.provider, it.outcome.name())).collect();
        let served_by = record.served_by().map(|it| it.provider.to_string());
        let (status, bytes_out, first_byte) = (record.status, record.bytes_out, record.first_byte);
        self.0.lock().push(Settled { status, attempts, served_by, bytes_out, first_byte });
    }
}

impl Scene {
    /// A gateway on a configuration, in which `MAIN` and `SPARE` stand for the upstreams' addresses. Whatever no script is
    /// left for is answered well.
    pub(crate) async fn of(yaml: &str) -> Self {
        let main = FakeUpstream::start([]).await.unwrap();
        let spare = FakeUpstream::start([]).await.unwrap();
        main.otherwise(|_| good());
        spare.otherwise(|_| good());
        let ledger = Arc::new(Ledger::default());
        let observer = Arc::clone(&ledger);
        let config = Config::from_yaml(&addressed(yaml, &main, &spare)).unwrap();
        let gateway = Gateway::builder().observer(observer).build(&config).unwrap();
        Self { gateway, main, spare, ledger }
    }

    /// Sends a request. Nothing happens before the future is polled.
    pub(crate) fn send(&self, request: Request<Body>) -> impl Future<Output = Response<AnswerBody>> + use<> {
        let answer = self.gateway.service().call(request);
        async { answer.await.unwrap() }
    }

    /// The status, the provider and the whole body of the answer to the smallest call.
    pub(crate) async fn call(&self) -> (u16, String, String) {
        let (head, body) = self.send(smallest()).await.into_parts();
        let provider = head.headers.get("x-gateway-provider").map(|name| name.to_str().unwrap().to_owned());
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), provider.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    /// Who serves the smallest call, which must succeed.
    pub(crate) async fn served(&self) -> String {
        let (status, provider, body) = self.call().await;
        assert_eq!(status, 200, "{body}");
        provider
    }

    /// All calls that were settled.
    pub(crate) fn settled(&self) -> Vec<Settled> {
        self.ledger.0.lock().clone()
    }

    /// The attempts under way at all targets.
    pub(crate) fn in_flight(&self) -> u32 {
        self.gateway.targets().iter().map(|target| target.in_flight).sum()
    }

    /// The state of one target's breaker; panics if there is no such target.
    pub(crate) fn breaker(&self, provider: &str) -> BreakerState {
        let targets = self.gateway.targets();
        let found = targets.iter().find(|it| it.provider == provider && it.model == "m");
        found.unwrap_or_else(|| panic!("no target at {provider} in {targets:?}")).breaker
    }

    /// Waits until nothing is under way at either upstream: every connection is closed, or free for another request.
    pub(crate) async fn at_rest(&self) {
        self.main.at_rest().await;
        self.spare.at_rest().await;
    }
}

/// A configuration with the upstreams' addresses in it.
pub(crate) fn addressed(yaml: &str, main: &FakeUpstream, spare: &FakeUpstream) -> String {
    yaml.replace("MAIN", &main.api_base()).replace("SPARE", &spare.api_base())
}

/// The smallest call, of the model `m`.
pub(crate) fn smallest() -> Request<Body> {
    post("/v1/chat/completions", r#"{"model":"m"}"#)
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, body: &'static str) -> Request<Body> {
    let request = Request::post(path).header("host", "gateway").header("content-type", "application/json");
    request.body(Full::from(body).boxed_unsync()).unwrap()
}

/// A whole good answer.
pub(crate) fn good() -> Script {
    Script::json(200, r#"{"id":"c-1","model":"m","choices":[]}"#)
}

/// The payload of a stream's event with content.
pub(crate) const CONTENT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;

/// Polls a future at most so many times and drops it; gives its output if it had one by then.
pub(crate) async fn poll_times<F: Future>(future: F, mut polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
