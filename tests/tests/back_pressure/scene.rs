//! A gateway with little room, and callers of whom it is known when they have come.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use gateway_testing::{Gate, ReceivedRequest, Script, client};
use gateway_tests::refusal::{assert_refused, refusal};
use gateway_tests::stage::{CHAT, ONE_ATTEMPT, PLAIN, Stage, with_header};
use gateway_tests::wire::{Reply, Wire};
use http::Request;
use http_body_util::Full;
use serde_json::Value;

/// A minute is longer than any test: nobody is turned away for having waited, nor for a line that does not move.
pub(crate) const PATIENT: &str = "timeout: 60s";

/// A gateway with so much room, and the keys `a`, `b` and `flood` besides. Calls make one attempt.
pub(crate) async fn stage(in_flight: usize, queue: &str) -> Stage {
    stage_of(PLAIN, &room(in_flight, queue), ONE_ATTEMPT).await
}

/// Fields of `server`.
pub(crate) fn room(in_flight: usize, queue: &str) -> String {
    format!("max_in_flight: {in_flight}, queue: {{ {queue} }}")
}

/// The same on another configuration, which ends with its `master_keys`, with these fields of `server` and further sections.
///
/// One worker serves it, so that it does what it is sent in the order in which it is sent.
pub(crate) async fn stage_of(config: &str, server: &str, sections: &str) -> Stage {
    let keys = ["a", "b", "flood"].map(|name| format!("  - {{ name: {name}, key: {} }}\n", key(name))).concat();
    let server = format!("server: {{ workers: 1, {server} }}\n");
    let stage = Stage::of(&[config, &keys, &server, sections].concat()).await;
    for upstream in [&stage.upstream, &stage.other] {
        upstream.otherwise(|_| ok());
    }
    stage
}

/// What the caller of this name presents.
pub(crate) fn key(name: &str) -> String {
    format!("sk-{name}-6f0c2d9e48b1")
}

/// An empty answer.
pub(crate) fn ok() -> Script {
    Script::json(200, "{}")
}

/// An empty answer that waits for a gate.
pub(crate) fn held(gate: &Gate) -> Script {
    Script::new().wait(gate).answer(200, "application/json", "{}")
}

/// A caller on a connection of its own, whose call is on its way.
pub(crate) struct Caller {
    wire: Wire,
    mark: String,
}

impl Caller {
    /// Makes a call in the name of `key`, with a mark by which the upstream and the log know it. When this returns, the
    /// gateway has it: it is at the upstream, in line, or turned away.
    pub(crate) async fn come(stage: &Stage, name: &str, mark: &str) -> Self {
        let body = format!(r#"{{"model":"gpt-4o","user":"{mark}"}}"#);
        Self::with(stage, name, mark, &body).await
    }

    /// The same with a body.
    pub(crate) async fn with(stage: &Stage, name: &str, mark: &str, body: &str) -> Self {
        let mut wire = Wire::open(stage.gateway.address()).await;
        // Now the connection is known to the worker that serves it.
        is_well(&mut wire).await;
        wire.write(head(name, mark, body.len()) + body).await;
        let mut witness = Wire::open(stage.gateway.address()).await;
        // The one worker looks at its connections round by round, and the call was there before the first of these.
        for _ in 0..3 {
            is_well(&mut witness).await;
        }
        Self { wire, mark: mark.to_owned() }
    }

    /// The answer, when it comes.
    pub(crate) async fn reply(mut self) -> Reply {
        self.wire.reply().await
    }

    /// The answer, which has to be a success.
    pub(crate) async fn served(self) {
        let mark = self.mark.clone();
        let reply = self.reply().await;
        assert_eq!(reply.status, 200, "{mark}: {}", reply.body);
    }

    /// The answer, which has to turn the caller away.
    pub(crate) async fn turned_away(self) {
        let mark = self.mark.clone();
        assert_overloaded(&mark, &self.reply().await);
    }

    /// Closes the connection, and waits until the gateway has noticed. Gives the call's line in the log.
    pub(crate) fn leave(self, stage: &Stage) -> Value {
        let Self { wire, mark } = self;
        drop(wire);
        let line = stage.access_line(&mark);
        assert_eq!(line["status"], 499, "{line}");
        line
    }
}

/// A call as a request.
pub(crate) fn request(name: &str, mark: &str, body: &'static str) -> Request<Full<Bytes>> {
    let call = with_header(client::request("POST", CHAT, body), "x-api-key", &key(name));
    with_header(call, "x-request-id", mark)
}

/// The head of a call, with the empty line behind it.
pub(crate) fn head(name: &str, mark: &str, length: usize) -> String {
    let key = key(name);
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nx-request-id: {mark}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Waits until all of these calls are over, in whatever order: a caller has its answer a moment before.
pub(crate) fn are_over<'m>(stage: &Stage, marks: impl IntoIterator<Item = &'m str>) {
    let awaited: Vec<_> = marks.into_iter().map(|mark| format!(r#""request_id":"{mark}""#)).collect();
    let awaited = RefCell::new(awaited);
    stage.gateway.log_line(|line| {
        let is_access = line.contains(r#""target":"access""#);
        awaited.borrow_mut().retain(|mark| !(is_access && line.contains(mark)));
        awaited.borrow().is_empty()
    });
}

/// Waits until all of these callers are served, and their calls over.
pub(crate) async fn all_are_served(stage: &Stage, callers: impl IntoIterator<Item = Caller>) {
    let mut marks = Vec::new();
    for caller in callers {
        marks.push(caller.mark.clone());
        caller.served().await;
    }
    are_over(stage, marks.iter().map(String::as_str));
}

async fn is_well(wire: &mut Wire) {
    wire.write("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(wire.reply().await.status, 200);
}

/// Panics unless the answer says that there is no room, and when there may be.
pub(crate) fn assert_overloaded(row: &str, reply: &Reply) {
    let wait: u64 = reply.header("retry-after").parse().unwrap_or_else(|_| panic!("{row}: {reply:?}"));
    assert!((1..=60).contains(&wait), "{row}: {wait}");
    let said = reply.body.split("Try again in ").nth(1).and_then(|rest| rest.split(" s.").next());
    let said: f64 = said.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{row}: {reply:?}"));
    let said = Duration::from_secs_f64(said);
    assert!(said <= Duration::from_secs(wait) && said + Duration::from_secs(1) > Duration::from_secs(wait), "{row}");
    let message =
        format!("This gateway has more calls than it can serve right now. Try again in {} s.", said.as_secs_f64());
    assert_refused(row, reply, 503, &refusal("overloaded_error", "overloaded", "", &message));
    assert_eq!(reply.header("x-should-retry"), "", "{row}");
}

/// The marks of the calls that an upstream has received, in order.
pub(crate) fn marks(requests: &[ReceivedRequest]) -> Vec<String> {
    let mark = |request: &ReceivedRequest| {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        body["user"].as_str().unwrap_or_default().to_owned()
    };
    requests.iter().map(mark).collect()
}
