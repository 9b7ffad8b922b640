//! What becomes of a connection whose request was refused before its body was read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "in_process/scene.rs"]
mod scene;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gateway_core::AnswerBody;
use gateway_testing::{Gate, Script};
use http::{Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use scene::{Body, Scene};

/// Every key is refused in its own way, but for the first.
const REFUSING: &str = "
server: { max_body: 200KiB, queue: { size: 0 } }
providers: [ { name: main, api_base: 'MAIN', max_in_flight: 1 } ]
passthrough: main
master_keys:
  - { name: free, key: sk-free-0c4e81b7 }
  - { name: narrow, key: sk-narrow-52af9d10, allowed_models: [ m ] }
  - { name: blocked, key: sk-blocked-6be3107c, rate_limit: { limit: 0, period_seconds: 60 } }
";

/// More than is taken in to keep a connection, and less than may be sent.
const LARGE: usize = 100 * 1024;

fn post(path: &str, key: &str, size: usize) -> Request<Body> {
    let request = Request::post(path).header("host", "gateway").header("x-api-key", key).header("content-length", size);
    request.body(Full::from(Bytes::from(vec![b'x'; size])).boxed_unsync()).unwrap()
}

/// The status, and what is said of the connection.
fn told(answer: &Response<AnswerBody>) -> (u16, Option<&str>) {
    let connection = answer.headers().get("connection");
    (answer.status().as_u16(), connection.map(|it| it.to_str().unwrap()))
}

#[tokio::test]
async fn a_refusal_takes_in_a_small_body_and_ends_the_connection_of_a_large_one() {
    let scene = Scene::of(REFUSING).await;
    let gate = Gate::new();
    scene.main.push(Script::new().wait(&gate).answer(200, "text/plain", "done"));
    let first = tokio::spawn(scene.send(post("/v1/files", "sk-free-0c4e81b7", 1)));
    scene.main.request(0).await;
    for (row, path, key, status) in [
        ("no such key", "/v1/files", "sk-nobody-1d7f60a2", 401),
        ("not for this key", "/v1/files", "sk-narrow-52af9d10", 403),
        ("no call left", "/v1/files", "sk-blocked-6be3107c", 429),
        ("no place at the provider", "/v1/files", "sk-free-0c4e81b7", 503),
    ] {
        assert_eq!(told(&scene.send(post(path, key, LARGE)).await), (status, Some("close")), "{row}");
        assert_eq!(told(&scene.send(post(path, key, 1000)).await), (status, None), "{row}, and a small body");
    }
    let too_large = scene.send(post("/v1/files", "sk-free-0c4e81b7", 3 * LARGE)).await;
    assert_eq!(told(&too_large), (413, Some("close")));
    gate.open();
    assert_eq!(told(&first.await.unwrap()), (200, None));
    assert_eq!(scene.main.requests().len(), 1);
}

/// Over HTTP/2 the connection goes on either way, but what is on its way for a call that is over counts against it.
#[tokio::test]
async fn a_small_body_is_taken_in_over_http2_too() {
    let scene = Scene::of(REFUSING).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let parts = stream::iter([b"a", b"b", b"c"]).map(move |part| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(Frame::data(Bytes::from_static(part)))
    });
    let request = Request::post("/v1/files").version(Version::HTTP_2).header("host", "gateway");
    let request = request.header("x-api-key", "sk-nobody-1d7f60a2").body(StreamBody::new(parts).boxed_unsync());
    assert_eq!(told(&scene.send(request.unwrap()).await), (401, None));
    assert_eq!(taken.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_target_that_is_left_alone_is_refused_by_the_head_too() {
    let breaker = "circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s, half_open_probes: 1 }\n";
    let scene = Scene::of(&format!("{}{breaker}", REFUSING.replace("max_in_flight: 1", "max_in_flight: 9"))).await;
    scene.main.push(Script::new().reset());
    let free = |size| scene.send(post("/v1/files", "sk-free-0c4e81b7", size));
    assert_eq!(free(1).await.status(), 502);
    // The one last resort.
    scene.main.push(Script::new().stall());
    let asked = scene.main.requests().len();
    let resort = tokio::spawn(free(1));
    scene.main.request(asked).await;
    assert_eq!(told(&free(LARGE).await), (503, Some("close")));
    assert_eq!(told(&free(1000).await), (503, None));
    resort.abort();
}
