//! A call that is dropped leaves nothing behind, wherever it stands.
//!
//! Each scenario is run again and again: dropped after the first poll, after the second, and so on until it completes. A
//! future can only be dropped between two polls, so these are all the places at which a call can be cancelled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "in_process/scene.rs"]
mod scene;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gateway_core::resilience::BreakerState;
use gateway_testing::Script;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::sleep;

use scene::{Body, CONTENT, Scene, poll_times, post, smallest};

/// Two targets, the second for when the first does not serve. Every pause is a millisecond.
const TIERS: &str = "
auth: none
passthrough: main
providers:
  - { name: main, api_base: 'MAIN', model_mapping: { m: m } }
  - { name: spare, api_base: 'SPARE', model_mapping: { m: m } }
models: { m: { balance: priority, targets: [ { provider: main, priority: 1 }, { provider: spare, priority: 2 } ] } }
retry: { max_retries: 5, base_delay: 1ms, max_delay: 1ms }
";

/// A model with one target, so that a retry has to wait.
const ALONE: &str = "
auth: none
providers: [ { name: main, api_base: 'MAIN', model_mapping: { m: m } } ]
retry: { max_retries: 5, base_delay: 1ms, max_delay: 1ms }
";

/// Opens at the first failure, which a cancelled attempt is not.
const STRICT: &str = "circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s }";

/// More polls than any call here takes.
const ENOUGH: usize = 1000;

/// A pause that lets the call be polled in between, and no more.
const BREATH: Duration = Duration::from_millis(1);

/// A plain answer that arrives piece by piece.
fn in_pieces() -> Script {
    let head = ["HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", "content-length: 12\r\n\r\n"];
    let body = [r#"{"id":"#, r#""c-1"}"#];
    head.into_iter().chain(body).fold(Script::new(), |script, piece| script.pause(BREATH).write(piece))
}

/// A stream that arrives event by event, the first without content.
fn event_by_event() -> Script {
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#;
    let finish = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let events = [role, CONTENT, CONTENT, finish, "[DONE]"].into_iter();
    events.fold(Script::event_stream(), |script, event| script.pause(BREATH).event(event)).pause(BREATH).end_chunks()
}

/// An answer that is passed on as it arrives.
fn sound() -> Script {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 4\r\n\r\n";
    [head, "so", "nd"].into_iter().fold(Script::new(), |script, piece| script.pause(BREATH).write(piece))
}

fn late_failure() -> Script {
    Script::new().pause(BREATH).answer(500, "application/json", "{}")
}

fn streamed() -> Request<Body> {
    post("/v1/chat/completions", r#"{"model":"m","stream":true}"#)
}

/// A form whose parts arrive one after the other.
fn upload() -> Request<Body> {
    let parts = [
        "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\n",
        "content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nso",
        "un",
        "d\r\n--b--\r\n",
    ];
    let request = Request::post("/v1/audio/transcriptions").header("host", "gateway");
    request.header("content-type", "multipart/form-data; boundary=b").body(piecewise(parts)).unwrap()
}

fn piecewise<const N: usize>(pieces: [&'static str; N]) -> Body {
    let frames = stream::iter(pieces).then(|piece| async move {
        sleep(BREATH).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A call, and what its upstreams do about it.
struct Scenario {
    config: String,
    main: Vec<Script>,
    spare: Vec<Script>,
    request: fn() -> Request<Body>,
    breaker: Breaker,
}

/// How the first target's breaker stands when the call arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    Closed,
    /// With room for one probe.
    HalfOpen,
    /// With room for one call that has nowhere else to go.
    Open,
}

impl Default for Scenario {
    fn default() -> Self {
        let config = format!("{TIERS}{STRICT}");
        Self { config, main: Vec::new(), spare: Vec::new(), request: smallest, breaker: Breaker::Closed }
    }
}

impl Scenario {
    /// Drops the call everywhere, and checks each time that nothing is left of it.
    async fn drop_everywhere(&self, name: &str) {
        for polls in 1..ENOUGH {
            let scene = self.set_up().await;
            let before = scene.settled().len();
            let mut delivered = Vec::new();
            let is_complete = poll_times(read(&scene, (self.request)(), &mut delivered), polls).await.is_some();
            // Behind the end of a stream there is nothing for the caller to miss.
            let has_all = is_complete || delivered.ends_with(b"data: [DONE]\n\n");
            let row = format!("{name}, dropped after {polls} polls");
            assert_eq!(scene.in_flight(), 0, "{row}: nothing is in flight at once");
            let settled = scene.settled().split_off(before);
            assert_eq!(settled.len(), 1, "{row}: {settled:?}");
            assert_eq!(settled[0].status, if has_all { 200 } else { 499 }, "{row}: {settled:?}");
            let succeeded = settled[0].attempts.iter().filter(|attempt| attempt.ends_with(":success")).count();
            assert_eq!(succeeded, usize::from(has_all), "{row}: {settled:?}");
            self.assert_as_before(&scene, &row).await;
            if is_complete {
                println!("{name}: complete after {polls} polls, {:?}", settled[0].attempts);
                return;
            }
        }
        panic!("{name}: not complete after {ENOUGH} polls");
    }

    async fn set_up(&self) -> Scene {
        let scene = Scene::of(&self.config).await;
        if self.breaker != Breaker::Closed {
            scene.main.push(Script::json(500, "{}"));
            scene.call().await;
        }
        while self.breaker == Breaker::HalfOpen && scene.breaker("main") != BreakerState::HalfOpen {
            sleep(BREATH).await;
        }
        self.main.iter().cloned().for_each(|script| scene.main.push(script));
        self.spare.iter().cloned().for_each(|script| scene.spare.push(script));
        scene
    }

    /// Panics unless the upstreams have been let go, and the next call finds everything as this one did.
    async fn assert_as_before(&self, scene: &Scene, row: &str) {
        scene.at_rest().await;
        let before = scene.settled().len();
        if self.breaker != Breaker::Open {
            let states = scene.gateway.targets().into_iter().map(|target| target.breaker);
            let opened = states.filter(|state| matches!(state, BreakerState::Open { .. })).count();
            assert_eq!(opened, 0, "{row}: a breaker opened");
        }
        let provider = scene.served().await;
        if self.breaker != Breaker::Closed {
            assert_eq!(provider, "main", "{row}: the probe's place is not free");
            assert_eq!(scene.breaker("main"), BreakerState::Closed, "{row}: one success closes it");
        }
        assert_eq!((scene.in_flight(), scene.settled().len()), (0, before + 1), "{row}");
    }
}

/// Makes a call that must succeed, and notes what of its answer has been delivered.
async fn read(scene: &Scene, request: Request<Body>, delivered: &mut Vec<u8>) {
    let mut answer = scene.send(request).await;
    while let Some(frame) = answer.body_mut().frame().await {
        delivered.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
    }
    assert_eq!(answer.status(), 200);
    assert!(!delivered.windows(7).any(|window| window == b"\"error\""), "{:?}", String::from_utf8_lossy(delivered));
}

#[tokio::test]
async fn a_plain_call() {
    Scenario { main: vec![in_pieces()], ..Scenario::default() }.drop_everywhere("plain").await;
}

#[tokio::test]
async fn a_stream() {
    let scenario = Scenario { main: vec![event_by_event()], request: streamed, ..Scenario::default() };
    scenario.drop_everywhere("streamed").await;
}

#[tokio::test]
async fn an_answer_that_is_passed_on_as_it_arrives() {
    let request = || post("/v1/audio/speech", r#"{"model":"m","input":"x"}"#);
    Scenario { main: vec![sound()], request, ..Scenario::default() }.drop_everywhere("raw").await;
}

#[tokio::test]
async fn a_request_that_is_passed_through() {
    let request = || {
        let request = Request::post("/v1/files").header("host", "gateway").header("content-type", "text/plain");
        request.body(piecewise(["so", "un", "d"])).unwrap()
    };
    Scenario { main: vec![in_pieces()], request, ..Scenario::default() }.drop_everywhere("passed through").await;
}

#[tokio::test]
async fn a_call_between_two_targets() {
    let config = TIERS.to_owned();
    let scenario = Scenario { config, main: vec![late_failure()], spare: vec![in_pieces()], ..Scenario::default() };
    scenario.drop_everywhere("second target").await;
}

#[tokio::test]
async fn a_call_that_waits_to_try_again() {
    let main = vec![late_failure(), late_failure(), in_pieces()];
    Scenario { config: ALONE.to_owned(), main, ..Scenario::default() }.drop_everywhere("backoff").await;
    let limited = "HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 2\r\ncontent-length: 2\r\n\r\n{}";
    let main = vec![Script::new().pause(BREATH).write(limited), event_by_event()];
    let scenario = Scenario { config: ALONE.to_owned(), main, request: streamed, ..Scenario::default() };
    scenario.drop_everywhere("retry-after").await;
}

/// Neither of the two comes first every time, and either may be dropped at any moment of the other.
#[tokio::test]
async fn a_race() {
    let hedged = format!("{TIERS}{STRICT}").replace("balance:", "hedge: { after: 1ms }, balance:");
    for (name, main, spare, request) in [
        ("race against silence", Script::new().stall(), in_pieces(), smallest as fn() -> Request<Body>),
        ("race of equals", in_pieces(), in_pieces(), smallest),
        ("race of streams", event_by_event(), event_by_event(), streamed),
    ] {
        let (main, spare) = (vec![main], vec![spare]);
        let scenario = Scenario { config: hedged.clone(), main, spare, request, ..Scenario::default() };
        scenario.drop_everywhere(name).await;
    }
}

#[tokio::test]
async fn a_race_in_which_one_fails() {
    let config = TIERS.replace("balance:", "hedge: { after: 1ms }, balance:");
    let main = vec![Script::new().pause(3 * BREATH).answer(500, "application/json", "{}")];
    let spare = vec![Script::new().pause(3 * BREATH).answer(503, "application/json", "{}"), event_by_event()];
    let scenario = Scenario { config, main, spare, request: streamed, ..Scenario::default() };
    scenario.drop_everywhere("race of failures").await;
}

#[tokio::test]
async fn a_probe() {
    let settings = "circuit_breaker: { consecutive_failures: 1, open: 1ms, max_open: 1ms, half_open_probes: 1 }";
    for (name, script, request) in
        [("probe", in_pieces(), smallest as fn() -> Request<Body>), ("streamed probe", event_by_event(), streamed)]
    {
        let config = format!("{TIERS}{settings}");
        let (main, breaker) = (vec![script], Breaker::HalfOpen);
        Scenario { config, main, request, breaker, ..Scenario::default() }.drop_everywhere(name).await;
    }
}

#[tokio::test]
async fn a_last_resort() {
    let settings = "circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s, half_open_probes: 1 }";
    for (name, script, request) in
        [("last resort", in_pieces(), smallest as fn() -> Request<Body>), ("streamed one", event_by_event(), streamed)]
    {
        let config = format!("{ALONE}{settings}").replace("max_retries: 5", "max_retries: 0");
        let (main, breaker) = (vec![script], Breaker::Open);
        Scenario { config, main, request, breaker, ..Scenario::default() }.drop_everywhere(name).await;
    }
}

#[tokio::test]
async fn an_upload() {
    Scenario { main: vec![in_pieces()], request: upload, ..Scenario::default() }.drop_everywhere("upload").await;
    // Nobody listens at port 1, so the second target gets the whole form.
    let config = TIERS.replace("MAIN", "http://127.0.0.1:1/v1");
    let scenario = Scenario { config, spare: vec![in_pieces()], request: upload, ..Scenario::default() };
    scenario.drop_everywhere("upload to the second").await;
}

#[tokio::test]
async fn a_call_that_is_never_polled_does_not_exist() {
    let scene = Scene::of(ALONE).await;
    drop(scene.send(smallest()));
    assert_eq!((scene.in_flight(), scene.settled().len(), scene.main.connections()), (0, 0, 0));
}

/// The answer's body is what is left of a call once its head has gone out.
#[tokio::test]
async fn a_body_that_is_dropped_half_read() {
    let speech = || post("/v1/audio/speech", r#"{"model":"m","input":"x"}"#);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 4\r\n\r\nso";
    for (row, script, request, frames) in [
        ("before the first event", Script::event_stream().event(CONTENT).stall(), streamed as fn() -> _, 0),
        ("behind the first event", Script::event_stream().event(CONTENT).stall(), streamed, 1),
        ("before the first byte", Script::new().write(head).stall(), speech, 0),
        ("behind the first byte", Script::new().write(head).stall(), speech, 1),
    ] {
        let scene = Scene::of(&format!("{TIERS}{STRICT}")).await;
        scene.main.push(script);
        let mut answer = scene.send(request()).await;
        for _ in 0..frames {
            answer.body_mut().frame().await.unwrap().unwrap();
        }
        assert_eq!((scene.in_flight(), scene.settled().len()), (1, 0), "{row}: it is under way");
        drop(answer);
        assert_eq!(scene.in_flight(), 0, "{row}");
        let settled = scene.settled();
        assert_eq!((settled[0].status, &*settled[0].attempts), (499, &["main:cancelled".to_owned()][..]), "{row}");
        scene.main.connection_closed(0).await;
        assert_eq!(scene.breaker("main"), BreakerState::Closed, "{row}");
        assert_eq!((scene.served().await, scene.settled().len()), ("main".to_owned(), 2), "{row}");
    }
}
