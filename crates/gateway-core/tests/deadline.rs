//! Whatever upstreams do, a call is over when its total timeout is.
//!
//! Scenes are generated, and the clock is paused, so that a call of twenty seconds takes none. A scene is its seed: the one
//! that a failure names makes the same scene again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gateway_config::Config;
use gateway_core::call::{AttemptRecord, Event, Observer, Outcome, TimeoutPhase};
use gateway_core::{Gateway, GatewayService};
use gateway_testing::{FakeUpstream, Script};
use http::Request;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::service::Service;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// How much later than its timeout a call may be over.
const SLACK: Duration = Duration::from_millis(50);

/// How long a call may take that is known to be late, so that it fails and does not hang.
const LATE: Duration = Duration::from_mins(5);

const SCENES: u64 = 400;

/// A scene has so many calls, one after the other: targets have a past, and connections are used again.
const CALLS: usize = 6;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What upstreams will do, and what they have seen.
struct Plot {
    rng: fastrand::Rng,
    /// How long the present call may take.
    limit: Duration,
    /// When each request of it arrived.
    asked: Vec<Instant>,
}

impl Plot {
    /// A time between two, given in milliseconds, of any magnitude.
    fn time(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(from / 1000.0 * (to / from).powf(self.rng.f64()))
    }

    /// The same as a configuration has it.
    fn written(&mut self, from: f64, to: f64) -> String {
        format!("{}ms", self.time(from, to).as_millis().max(1))
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())]
    }

    /// Of any magnitude, or shortly before or behind the end of a call that has just begun.
    fn pause(&mut self) -> Duration {
        match self.rng.u8(..3) {
            0 => (self.limit + SLACK).saturating_sub(self.time(1.0, 400.0)),
            _ => self.time(1.0, 60_000.0),
        }
    }

    /// What to do with the next request.
    fn script(&mut self) -> Script {
        self.asked.push(Instant::now());
        let mut pieces = self.answer();
        let is_cut = self.rng.u8(..3) == 0;
        if is_cut {
            pieces.truncate(self.rng.usize(..=pieces.len()));
        }
        let hesitation = self.pick(&[0.0, 0.05, 0.3]);
        let mut script = Script::new();
        for piece in pieces {
            if self.rng.f64() < hesitation {
                script = script.pause(self.pause());
            }
            script = script.write(piece);
        }
        match self.rng.u8(..3) {
            _ if !is_cut => script,
            0 => script.stall(),
            1 => script.close(),
            _ => script.reset(),
        }
    }

    /// An answer in the pieces in which it is sent. A call may get any kind: not all upstreams do as they are asked.
    fn answer(&mut self) -> Vec<String> {
        match self.rng.u8(..8) {
            0 => whole("200 OK", "content-type: application/json\r\n", &[r#"{"id":"#, r#""c-1"}"#]),
            1 => whole("200 OK", "content-type: application/json\r\n", &[r#"{"error":"#, r#"{"code":503}}"#]),
            2 => whole("200 OK", "content-type: audio/mpeg\r\n", &["so", "un", "d"]),
            3 | 4 => self.events(),
            _ => self.refusal(),
        }
    }

    fn events(&mut self) -> Vec<String> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let content = r#"data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
        let middle = [": a comment", r#"data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#, content];
        let mut pieces = vec![head.to_owned()];
        for _ in 0..self.rng.usize(..90) {
            pieces.push(chunk(self.pick(&middle)));
        }
        let finish = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        let error = r#"data: {"error":{"message":"no"}}"#;
        pieces.push(chunk(self.pick(&[content, finish, error])));
        pieces.extend([chunk("data: [DONE]"), "0\r\n\r\n".to_owned()]);
        pieces
    }

    fn refusal(&mut self) -> Vec<String> {
        let status = self.pick(&["400 x", "401 x", "404 x", "429 x", "500 x", "500 x", "502 x", "503 x", "529 x"]);
        let wait = match self.rng.u8(..3) {
            0 => String::new(),
            1 => format!("retry-after: {}\r\n", self.rng.u8(..30)),
            _ => format!("retry-after-ms: {}\r\n", self.time(1.0, 20_000.0).as_millis()),
        };
        let too_long = &[r#"{"error":{"message":"long","#, r#""code":"context_length_exceeded"}}"#][..];
        let words = self.pick(&[too_long, &["{}"], &["{", r#""error":{}"#, "}"]]);
        whole(status, &wait, words)
    }

    /// A configuration of two models, with one or two targets each.
    fn config(&mut self, total: Duration, [main, spare]: &[FakeUpstream; 2]) -> String {
        let targets = self.pick(&["{ provider: main }", "{ provider: main }, { provider: spare }"]);
        let hedge = match self.rng.u8(..2) {
            0 => String::new(),
            _ => format!("hedge: {{ after: {}, max: {} }}, ", self.written(5.0, 5000.0), self.rng.u8(1..=3)),
        };
        let fallback = self.pick(&["", "fallback_models: [ n ], "]);
        let balance = self.pick(&["priority", "weighted", "p2c", "least_in_flight"]);
        let (headers, first_token, idle) =
            (self.written(20.0, 60_000.0), self.written(20.0, 60_000.0), self.written(20.0, 60_000.0));
        let (base, max) = (self.written(1.0, 1000.0), self.written(1000.0, 20_000.0));
        let keys = self.pick(&["api_key: k", "api_keys: [ k, l ]"]);
        format!(
            "
auth: none
providers:
  - {{ name: main, api_base: '{main}', {keys}, model_mapping: [ m, n ] }}
  - {{ name: spare, api_base: '{spare}', {keys}, model_mapping: [ m, n ] }}
models: {{ m: {{ {hedge}{fallback}balance: {balance}, targets: [ {targets} ] }} }}
timeouts: {{ headers: {headers}, first_token: {first_token}, idle: {idle}, total: {total}ms }}
circuit_breaker: {{ consecutive_failures: {failures}, open: {open}, max_open: 60s }}
retry:
  max_retries: {retries}
  base_delay: {base}
  max_delay: {max}
  max_retry_after: {patience}
  budget: {{ ratio: 1, min_per_second: 1000 }}
",
            main = main.api_base(),
            spare = spare.api_base(),
            total = total.as_millis(),
            failures = self.rng.u8(1..20),
            open = self.written(1.0, 60_000.0),
            retries = self.rng.u8(..8),
            patience = self.written(1.0, 30_000.0),
        )
    }

    /// A call of some kind, and how long it may take.
    fn call(&mut self, total: Duration) -> (Request<Body>, Duration) {
        let kind = self.rng.u8(..8);
        if kind == 0 {
            return (upload((0..4).map(|_| self.pause().min(Duration::from_secs(20))).collect()), total);
        }
        let (member, limit) = match self.rng.u8(..3) {
            0 => {
                let asked = whole_millis(Duration::from_millis(1) + total.mul_f64(2.0 * self.rng.f64()));
                (format!(r#","gateway":{{"timeout_ms":{}}}"#, asked.as_millis()), asked.min(total))
            }
            _ => (String::new(), total),
        };
        let (path, rest) = match kind {
            1 => ("/v1/audio/speech", r#","input":"x""#),
            2 | 3 => ("/v1/chat/completions", ""),
            _ => ("/v1/chat/completions", r#","stream":true"#),
        };
        let request = Request::post(path).header("host", "gateway").header("content-type", "application/json");
        let body = Full::from(format!(r#"{{"model":"m"{rest}{member}}}"#)).boxed_unsync();
        (request.body(body).unwrap(), limit)
    }
}

/// An answer whose body has a length.
fn whole(status: &str, headers: &str, body: &[&str]) -> Vec<String> {
    let length = body.concat().len();
    let head = [format!("HTTP/1.1 {status}\r\n{headers}"), format!("content-length: {length}\r\n\r\n")];
    head.into_iter().chain(body.iter().map(|&piece| piece.to_owned())).collect()
}

fn chunk(event: &str) -> String {
    format!("{:x}\r\n{event}\n\n\r\n", event.len() + 2)
}

/// A form whose file arrives piece by piece, each after a while.
fn upload(pauses: Vec<Duration>) -> Request<Body> {
    let head = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\n\
                content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
    let pieces = pauses.into_iter().map(|pause| (pause, "sound"));
    let pieces = [(Duration::ZERO, head)].into_iter().chain(pieces).chain([(Duration::ZERO, "\r\n--b--\r\n")]);
    let frames = stream::iter(pieces).then(|(pause, piece)| async move {
        sleep(pause).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    let request = Request::post("/v1/audio/transcriptions").header("host", "gateway");
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    request.body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

/// The attempts of the call that was settled last.
#[derive(Default)]
struct Trail(Mutex<Vec<AttemptRecord>>);

impl Observer for Trail {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event {
            *self.0.lock() = record.attempts.to_vec();
        }
    }
}

/// What has been seen in all scenes, so that they can be known to be of use.
#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    served: usize,
    out_of_time: usize,
    tried_again: usize,
    cut_behind_the_head: usize,
}

/// A gateway between its callers and upstreams that follow a plot.
struct Scene {
    yaml: String,
    total: Duration,
    service: GatewayService,
    plot: Arc<Mutex<Plot>>,
    trail: Arc<Trail>,
    _upstreams: [FakeUpstream; 2],
}

impl Scene {
    async fn of(seed: u64) -> Self {
        // The gateway's own draws, such as the jitter of its delays.
        fastrand::seed(seed);
        let mut plot = Plot { rng: fastrand::Rng::with_seed(seed), limit: Duration::ZERO, asked: Vec::new() };
        let upstreams = [FakeUpstream::start([]).await.unwrap(), FakeUpstream::start([]).await.unwrap()];
        let total = whole_millis(plot.time(50.0, 20_000.0));
        let yaml = plot.config(total, &upstreams);
        let plot = Arc::new(Mutex::new(plot));
        for upstream in &upstreams {
            let plot = Arc::clone(&plot);
            upstream.otherwise(move |_| plot.lock().script());
        }
        let trail = Arc::new(Trail::default());
        let config = Config::from_yaml(&yaml).unwrap();
        let service = Gateway::builder().observer(Arc::clone(&trail) as _).build(&config).unwrap().service();
        Self { yaml, total, service, plot, trail, _upstreams: upstreams }
    }

    /// Makes a call, which must be over in time.
    async fn call(&self, told: &str, tally: &mut Tally) {
        let (request, limit) = self.plot.lock().call(self.total);
        (self.plot.lock().limit, self.plot.lock().asked) = (limit, Vec::new());
        let began = Instant::now();
        let answer = timeout(limit + LATE, async {
            let (head, body) = self.service.call(request).await.unwrap().into_parts();
            // One that breaks off is over, too.
            (head.status, body.collect().await.map(Collected::to_bytes))
        });
        let answer = answer.await;
        let elapsed = began.elapsed();
        let attempts = self.trail.0.lock().clone();
        let asked: Vec<Duration> = self.plot.lock().asked.iter().map(|at| *at - began).collect();
        let yaml = &self.yaml;
        let told = format!("{told}, limit {limit:?}: {answer:?} after {elapsed:?}; {attempts:?}{yaml}");
        assert!(elapsed <= limit + SLACK, "it is late: {told}");
        assert!(asked.iter().all(|at| *at <= limit), "an upstream was asked at {asked:?}: {told}");
        assert!(!attempts.iter().any(begins_late), "an attempt began when there was no time: {told}");
        let (status, body) = answer.unwrap();
        let is_out_of_time = elapsed >= limit;
        tally.calls += 1;
        tally.served += usize::from(attempts.iter().any(|it| it.outcome == Outcome::Success));
        tally.out_of_time += usize::from(is_out_of_time);
        tally.tried_again += usize::from(attempts.len() > 1);
        tally.cut_behind_the_head += usize::from(is_out_of_time && status == 200 && body.is_ok());
    }
}

/// As much of a duration as a configuration or a call can say.
fn whole_millis(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs()) + Duration::from_millis(time.subsec_millis().into())
}

/// Whether an attempt was over, for lack of time, at the moment at which it began.
fn begins_late(attempt: &AttemptRecord) -> bool {
    attempt.outcome == Outcome::Timeout(TimeoutPhase::Total) && attempt.elapsed.is_zero()
}

#[tokio::test(start_paused = true)]
async fn no_call_is_over_later_than_it_may_be() {
    let mut tally = Tally::default();
    for seed in 0..SCENES {
        let scene = Scene::of(seed).await;
        for number in 0..CALLS {
            scene.call(&format!("seed {seed}, call {number}"), &mut tally).await;
        }
    }
    println!("{tally:?}");
    let rarest = tally.served.min(tally.out_of_time).min(tally.tried_again);
    let is_telling = rarest >= tally.calls / 10 && tally.cut_behind_the_head >= tally.calls / 100;
    assert!(is_telling, "they show too little: {tally:?}");
}
