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
use gateway_core::Gateway;
use gateway_core::call::{AttemptRecord, Event, Observer, Outcome, TimeoutPhase};
use gateway_testing::{FakeUpstream, Script};
use http::Request;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
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
                let asked = Duration::from_millis(self.rng.u64(1..2 * total.as_millis() as u64));
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
struct Seen {
    calls: usize,
    served: usize,
    out_of_time: usize,
    tried_again: usize,
    cut_behind_the_head: usize,
}

/// Makes the calls of one scene, each of which must be over in time.
async fn play(seed: u64, seen: &mut Seen) {
    // The gateway's own draws, such as the jitter of its delays.
    fastrand::seed(seed);
    let mut plot = Plot { rng: fastrand::Rng::with_seed(seed), limit: Duration::ZERO, asked: Vec::new() };
    let upstreams = [FakeUpstream::start([]).await.unwrap(), FakeUpstream::start([]).await.unwrap()];
    let total = Duration::from_millis(plot.time(50.0, 20_000.0).as_millis() as u64);
    let yaml = plot.config(total, &upstreams);
    let plot = Arc::new(Mutex::new(plot));
    for upstream in &upstreams {
        let plot = Arc::clone(&plot);
        upstream.otherwise(move |_| plot.lock().script());
    }
    let trail = Arc::new(Trail::default());
    let config = Config::from_yaml(&yaml).unwrap();
    let service = Gateway::builder().observer(Arc::clone(&trail) as _).build(&config).unwrap().service();
    for number in 0..CALLS {
        let (request, limit) = plot.lock().call(total);
        (plot.lock().limit, plot.lock().asked) = (limit, Vec::new());
        let began = Instant::now();
        let answer = timeout(limit + LATE, async {
            let (head, body) = service.call(request).await.unwrap().into_parts();
            // One that breaks off is over, too.
            (head.status, body.collect().await.map(|body| body.to_bytes()))
        });
        let answer = answer.await;
        let (elapsed, attempts, asked) = (began.elapsed(), trail.0.lock().clone(), plot.lock().asked.clone());
        let asked: Vec<Duration> = asked.into_iter().map(|at| at - began).collect();
        let told =
            format!("seed {seed}, call {number}, limit {limit:?}: {answer:?} after {elapsed:?}; {attempts:?}{yaml}");
        assert!(elapsed <= limit + SLACK, "it is late: {told}");
        assert!(asked.iter().all(|at| *at <= limit), "an upstream was asked at {asked:?}: {told}");
        assert!(!attempts.iter().any(begins_late), "an attempt began when there was no time: {told}");
        let (status, body) = answer.unwrap();
        seen.calls += 1;
        seen.served += usize::from(attempts.iter().any(|it| it.outcome == Outcome::Success));
        seen.out_of_time += usize::from(elapsed >= limit);
        seen.tried_again += usize::from(attempts.len() > 1);
        seen.cut_behind_the_head += usize::from(elapsed >= limit && status == 200 && body.is_ok());
    }
}

/// Whether an attempt was over, for lack of time, at the moment at which it began.
fn begins_late(attempt: &AttemptRecord) -> bool {
    attempt.outcome == Outcome::Timeout(TimeoutPhase::Total) && attempt.elapsed.is_zero()
}

#[tokio::test(start_paused = true)]
async fn no_call_is_over_later_than_it_may_be() {
    let mut seen = Seen::default();
    for seed in 0..SCENES {
        play(seed, &mut seen).await;
    }
    println!("{seen:?}");
    let rarest = seen.served.min(seen.out_of_time).min(seen.tried_again);
    assert!(
        rarest >= seen.calls / 10 && seen.cut_behind_the_head >= seen.calls / 100,
        "they show too little: {seen:?}"
    );
}
