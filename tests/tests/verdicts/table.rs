//! Every behaviour, for plain and streamed calls, with each way to go on. What the caller got, what the upstreams
//! received, the trail and the access log all have to say the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_testing::{Answer, Client, FakeUpstream, GatewayProcess};
use gateway_tests::trail;
use gateway_tests::wire::Wire;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::behaviours::{self, Behaviour, Ending, First};
use super::scene::{Row, Side, Topology, Tried, gateway};

/// One retry, whose backoff nobody has to wait for; a caller waits a little where an upstream asks for it.
const PATIENCE: &str = "retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms, max_retry_after: 200ms }\n";

/// How many calls are under way at once.
const AT_ONCE: usize = 16;

const TOPOLOGIES: [Topology; 3] = [Topology::Alone, Topology::SecondTarget, Topology::FallbackModel];

/// A behaviour in one of its six places.
struct Case {
    behaviour: Behaviour,
    row: Row,
}

impl Case {
    async fn new(number: usize, behaviour: Behaviour, topology: Topology, streamed: bool) -> Self {
        let row = Row::new(number, topology, streamed).await.timeouts(behaviour.timeouts);
        let row = row.member(behaviour.member);
        let row = match behaviour.first {
            First::Unreachable => row.unreachable(),
            First::Crowded => row.crowded().await,
            First::Plays(script) | First::IsLeft(script) => {
                // Once more than is asked for by any verdict; what is asked for is counted.
                (0..3).for_each(|_| row.first.push(script(streamed)));
                row
            }
        };
        Self { behaviour, row }
    }

    fn name(&self) -> String {
        let kind = if self.row.streamed { "streamed" } else { "plain" };
        let topology = match self.row.topology {
            Topology::Alone => "one target",
            Topology::SecondTarget => "second target",
            Topology::FallbackModel => "fallback model",
        };
        format!("{:<36} | {kind:<8} | {topology:<14}", self.behaviour.name)
    }

    /// The trail that the table asks for.
    fn tried(&self) -> Vec<Tried> {
        let Behaviour { asked, outcomes, status, .. } = self.behaviour;
        let outcome = outcomes[usize::from(self.row.streamed)];
        let tried = asked[self.row.topology as usize].iter().map(|upstream| match upstream {
            1 => Tried { side: Side::First, outcome, status },
            _ => Tried { side: Side::Second, outcome: "success", status: Some(200) },
        });
        tried.collect()
    }

    /// Whoever answers, if the call is answered well.
    fn server(&self) -> Option<Side> {
        self.tried().last().filter(|it| it.outcome == "success").map(|it| it.side)
    }

    /// Makes the call and checks the answer; says what the caller got.
    async fn run(&self, gateway: SocketAddr) -> String {
        if matches!(self.behaviour.first, First::IsLeft(_)) {
            self.leave(gateway).await;
            return "(has left)".to_owned();
        }
        let answer = Client::connect(gateway).await.send(self.row.request()).await;
        self.check_headers(&answer);
        match (self.server(), self.behaviour.ending) {
            (Some(side), _) => self.check_served(&answer, side),
            (None, Ending::PassedOn(status, words)) => self.check_passed_on(&answer, status, words),
            (None, Ending::Failed(status, code, wait)) => {
                self.check_failed(&answer, (status, "upstream_error", code), wait)
            }
            (None, _) => self.check_failed(&answer, (504, "timeout_error", self.tried()[0].outcome), ""),
        }
    }

    /// Makes the call and goes away as soon as the upstream has it.
    async fn leave(&self, gateway: SocketAddr) {
        let mut wire = Wire::open(gateway).await;
        wire.write(self.row.wire_request()).await;
        self.row.first.request(0).await;
        drop(wire);
        self.row.first.connection_closed(0).await;
    }

    fn check_headers(&self, answer: &Answer) {
        let is_own = self.server().is_none() && !matches!(self.behaviour.ending, Ending::PassedOn(..));
        let attempts = self.tried().len().to_string();
        for (name, value) in [
            ("x-request-id", &*self.row.id),
            ("x-gateway-attempts", &*attempts),
            ("x-should-retry", if is_own { "false" } else { "" }),
        ] {
            assert_eq!(answer.header(name), value, "{}: {name}", self.name());
        }
        assert!(!answer.header("x-gateway-overhead-us").is_empty(), "{}", self.name());
    }

    fn check_served(&self, answer: &Answer, side: Side) -> String {
        let name = self.name();
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        self.check_names(answer, side);
        self.row.assert_whole(&name, side, &answer.text());
        assert_eq!(trail::of_answer(answer), self.row.trail(&self.tried()), "{name}");
        let end = if self.row.streamed { "to [DONE]" } else { "whole" };
        let model = answer.header("x-gateway-model").replace(&self.row.id, "model");
        format!("200 by {} of {}, {end}", model, if side == Side::First { "first" } else { "second" })
    }

    /// The headers that name who answered.
    fn check_names(&self, answer: &Answer, side: Side) {
        let (model, provider) = (self.row.model(side), self.row.provider(side));
        assert_eq!(answer.header("x-gateway-provider"), provider, "{}", self.name());
        assert_eq!(answer.header("x-gateway-model"), model, "{}", self.name());
    }

    fn check_passed_on(&self, answer: &Answer, status: u16, words: &str) -> String {
        assert_eq!((answer.status.as_u16(), &*answer.text()), (status, words), "{}", self.name());
        assert_eq!(answer.header("content-type"), "application/json", "{}", self.name());
        self.check_names(answer, Side::First);
        format!("{status} in the upstream's words")
    }

    fn check_failed(&self, answer: &Answer, (status, kind, code): (u16, &str, &str), wait: &str) -> String {
        let name = self.name();
        let body = answer.json();
        let error = &body["error"];
        assert_eq!(
            (answer.status.as_u16(), &error["type"], &error["code"], &error["param"]),
            (status, &json!(kind), &json!(code), &Value::Null),
            "{name}: {body}"
        );
        assert!(error["message"].is_string() && !answer.text().contains("private"), "{name}: {body}");
        assert_eq!(body["gateway"]["request_id"], json!(self.row.id), "{name}");
        assert_eq!(trail::of_answer(answer), self.row.trail(&self.tried()), "{name}");
        assert_eq!(answer.header("content-type"), "application/json", "{name}");
        assert_eq!(answer.header("retry-after"), wait, "{name}");
        let wait = if wait.is_empty() { String::new() } else { format!(", retry-after {wait}") };
        format!("{status} {code}{wait}")
    }

    /// The line in the access log: the same trail, and what the caller got.
    fn check_line(&self, line: &Value) {
        let tried = self.tried();
        let (status, error) = match (self.server(), self.behaviour.ending) {
            (Some(_), _) | (None, Ending::Served) => (200, Value::Null),
            (None, Ending::Failed(status, code, _)) => (status, json!(code)),
            (None, Ending::TimedOut) => (504, json!(tried[0].outcome)),
            (None, Ending::PassedOn(status, _)) => (status, Value::Null),
            (None, Ending::Left) => (499, Value::Null),
        };
        let last = tried.last().map(|it| self.row.provider(it.side));
        for (field, expected) in [
            ("attempts", json!(self.row.logged(&tried))),
            ("status", json!(status)),
            ("error", error),
            ("key", json!("team")),
            ("model", json!(self.row.id)),
            ("provider", json!(last)),
            ("stream", json!(self.row.streamed && self.server().is_some())),
        ] {
            assert_eq!(line[field], expected, "{}: {field} in {line}", self.name());
        }
    }

    /// The row as it is printed, with the attempts as they were logged.
    fn line(&self, got: &str, logged: &Value) -> String {
        let logged = logged["attempts"].as_str().unwrap_or_default();
        let attempts = logged.split(',').map(|attempt| {
            let (place, came) = attempt.split_once(':').unwrap_or_default();
            format!("{} {came}", place.split(['-', '/']).nth(1).unwrap_or_default())
        });
        let trail = attempts.collect::<Vec<_>>().join(", ");
        let count = |upstream: &FakeUpstream| upstream.requests().len();
        let (first, second) = (count(&self.row.first), count(&self.row.second));
        format!("{} | {got:<45} | {trail:<70} | {first} + {second}", self.name())
    }
}

async fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for behaviour in behaviours::all() {
        for streamed in [false, true] {
            for topology in TOPOLOGIES {
                cases.push(Case::new(cases.len(), behaviour, topology, streamed).await);
            }
        }
    }
    cases
}

/// Stops the gateway; gives its access log by request id, and the whole of its log.
fn settle(gateway: &GatewayProcess) -> (HashMap<String, Value>, String) {
    gateway.terminate().expect("a process that runs");
    let lines = RefCell::new(Vec::new());
    gateway.log_line(|line| {
        lines.borrow_mut().push(line.to_owned());
        line.contains(r#""message":"stopped""#)
    });
    let lines = lines.into_inner();
    let documents = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("a log line is JSON"));
    let access = documents.filter(|line| line["target"] == "access");
    let by_id = access.map(|line| (line["request_id"].as_str().unwrap_or_default().to_owned(), line));
    (by_id.collect(), lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_behaviour_has_its_verdict() {
    let cases = all_cases().await;
    let gateway = gateway(cases.iter().map(|case| &case.row), PATIENCE);
    let (address, turns) = (gateway.address(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut calls = JoinSet::new();
    for (number, case) in cases.into_iter().enumerate() {
        let turns = Arc::clone(&turns);
        calls.spawn(async move {
            let _turn = turns.acquire().await;
            let got = case.run(address).await;
            (number, case, got)
        });
    }
    let mut finished = calls.join_all().await;
    finished.sort_by_key(|(number, ..)| *number);
    let (lines, log) = settle(&gateway);
    println!("behaviour | call | topology | the caller got | attempts | requests at the first and the second upstream");
    for (_, case, got) in &finished {
        let line = lines.get(&case.row.id).unwrap_or_else(|| panic!("{}: nothing was recorded", case.name()));
        case.check_line(line);
        case.row.assert_received(&case.name(), &case.tried());
        println!("{}", case.line(got, line));
    }
    assert_eq!(lines.len(), finished.len(), "one line a call");
    assert!(!log.contains("sk-"), "a key is logged: {log}");
}
