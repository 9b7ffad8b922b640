//! The two upstreams. Each notes when it was asked, and `a` lives through the outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_testing::{FakeUpstream, ReceivedRequest, Script};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::outage::{Behaviour, Outage};

/// How long an upstream thinks before it begins to answer.
const THINKING: Duration = Duration::from_millis(20);

/// How many events with content a stream has.
pub(crate) const EVENTS: usize = 5;

/// How far apart they are.
const BETWEEN_EVENTS: Duration = Duration::from_millis(10);

/// What the content of every answer, and of every event of a streamed one, is.
pub(crate) const CONTENT: &str = "All is well.";

/// When an upstream was asked, since the drill began.
type Arrivals = Arc<Mutex<Vec<Duration>>>;

pub(crate) struct Upstreams {
    pub(crate) a: FakeUpstream,
    pub(crate) b: FakeUpstream,
    arrivals: [Arrivals; 2],
}

impl Upstreams {
    /// Listens at two addresses.
    pub(crate) async fn start() -> Self {
        let a = FakeUpstream::start([]).await.expect("a free port");
        let b = FakeUpstream::start([]).await.expect("a free port");
        Self { a, b, arrivals: [Arrivals::default(), Arrivals::default()] }
    }

    /// Begins to answer. A slow answer takes `delay` before it begins.
    pub(crate) fn begin(&mut self, outage: &Outage, began: Instant, delay: Duration) {
        let [at_a, at_b] = self.arrivals.clone();
        let outage = outage.clone();
        let is_turn_of_reset = AtomicBool::new(false);
        self.a.otherwise(move |request| {
            let now = began.elapsed();
            at_a.lock().push(now);
            match outage.behaviour(now) {
                Behaviour::Well => answer(request, THINKING),
                Behaviour::Slow => answer(request, delay),
                Behaviour::Failing if is_turn_of_reset.fetch_not(Ordering::Relaxed) => Script::new().reset(),
                Behaviour::Failing => Script::json(500, r#"{"error":{"message":"an outage"}}"#),
            }
        });
        self.b.otherwise(move |request| {
            at_b.lock().push(began.elapsed());
            answer(request, THINKING)
        });
    }

    /// When `a` was asked.
    pub(crate) fn arrivals_a(&self) -> Vec<Duration> {
        self.arrivals[0].lock().clone()
    }

    /// When `b` was asked.
    pub(crate) fn arrivals_b(&self) -> Vec<Duration> {
        self.arrivals[1].lock().clone()
    }
}

fn answer(request: &ReceivedRequest, after: Duration) -> Script {
    let wants_stream = request.body.windows(13).any(|window| window == br#""stream":true"#);
    let script = Script::new().pause(after);
    if !wants_stream {
        let body = format!(
            r#"{{"id":"c-1","model":"x","choices":[{{"index":0,"message":{{"role":"assistant","content":"{CONTENT}"}}}}]}}"#
        );
        return script.answer(200, "application/json", body);
    }
    let event = |delta: &str, reason: &str| {
        format!(r#"{{"id":"c-1","model":"x","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#)
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let begun = script.write(head).event(&event(r#"{"role":"assistant","content":""}"#, "null"));
    let content = event(&format!(r#"{{"content":"{CONTENT}"}}"#), "null");
    let told = (0..EVENTS).fold(begun, |script, _| script.event(&content).pause(BETWEEN_EVENTS));
    told.event(&event("{}", r#""stop""#)).event("[DONE]").end_chunks()
}
