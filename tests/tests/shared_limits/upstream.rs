//! An upstream that counts how many calls are with it at once, and does with each what its `user` member says.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use gateway_tests::patience::PATIENCE;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// The `user` of a call that is answered when the calls that are held are released.
pub(crate) const HELD: &str = "held";

/// The `user` of a call that is never answered.
pub(crate) const STALLED: &str = "stalled";

/// The `user` of a call that fails, and so costs nothing.
pub(crate) const FAILING: &str = "failing";

/// A server on a free port of 127.0.0.1. Dropping it closes everything.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    counts: watch::Sender<Counts>,
    /// How often calls that were held have been released.
    releases: watch::Sender<u64>,
}

/// How many calls there were.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// That are here now.
    pub(crate) at_once: usize,
    /// The most that were here at once.
    pub(crate) most: usize,
    /// That have come.
    pub(crate) total: usize,
}

/// A call that is here.
struct Visit<'a>(&'a watch::Sender<Counts>);

impl<'a> Visit<'a> {
    fn begin(counts: &'a watch::Sender<Counts>) -> Self {
        counts.send_modify(|counts| {
            counts.total += 1;
            counts.at_once += 1;
            counts.most = counts.most.max(counts.at_once);
        });
        Self(counts)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|counts| counts.at_once -= 1);
    }
}

impl Upstream {
    /// Listens. Each answer is reported to have taken one token, and its prompt none.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (counts, releases) = (watch::Sender::new(Counts::default()), watch::Sender::new(0));
        let state = Arc::new(State { counts, releases });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// The API base to configure a provider with.
    pub(crate) fn api_base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.state.counts.borrow()
    }

    /// Waits until what has come and gone is as wanted. Panics if it never is.
    pub(crate) async fn reaches(&self, awaited: &str, is_wanted: impl Fn(Counts) -> bool) {
        let mut counts = self.state.counts.subscribe();
        let reached = timeout(PATIENCE, counts.wait_for(|counts| is_wanted(*counts))).await.is_ok();
        assert!(reached, "waited {PATIENCE:?} for {awaited}: {:?}", self.counts());
    }

    /// Answers all calls that are held now.
    pub(crate) fn release(&self) {
        self.state.releases.send_modify(|releases| *releases += 1);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Owned by this task, so that the connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| serve(&state, request));
            // An error is a peer that has gone.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn serve(state: &State, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // First, so that whoever is seen here can be released.
    let mut releases = state.releases.subscribe();
    let _visit = Visit::begin(&state.counts);
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut status = StatusCode::OK;
    match body["user"].as_str() {
        Some(HELD) => drop(releases.changed().await),
        Some(STALLED) => std::future::pending().await,
        Some(FAILING) => status = StatusCode::INTERNAL_SERVER_ERROR,
        _ => {}
    }
    let usage = json!({ "prompt_tokens": 0, "completion_tokens": 1, "total_tokens": 1 });
    let answer = json!({ "id": "c-1", "choices": [], "usage": usage }).to_string();
    let mut response = Response::new(Full::new(Bytes::from(answer)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
