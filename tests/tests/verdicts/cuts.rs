//! Streams that are cut, at every point and in every way. Before the first content the caller never learns of it: the
//! second target's stream is all there is. Behind it nothing is tried again: the caller is told in a last event, and
//! `[DONE]` never follows.

use gateway_testing::{Answer, Client, GatewayProcess, Script};
use gateway_tests::stream::{DONE, error_code, event, finish, role, text, without_gateway};
use gateway_tests::trail;
use serde_json::{Value, json};

use super::scene::{Row, Side, Topology, Tried, gateway, healthy};

/// One failure opens a breaker, so the call after a cut shows whether that counted as one.
const STRICT: &str = "retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms }\n\
                      circuit_breaker: { consecutive_failures: 1, open: 1h, max_open: 1h }\n";

/// How a connection may end without the stream's own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The body ends as HTTP has it.
    Ended,
    /// FIN.
    Closed,
    /// RST.
    Reset,
}

impl End {
    fn of(self, script: Script) -> Script {
        match self {
            Self::Ended => script.end_chunks(),
            Self::Closed => script.close(),
            Self::Reset => script.reset(),
        }
    }
}

/// What comes of a cut.
#[derive(Debug, Clone)]
enum Fate {
    /// The second target answers, after an attempt that ended so.
    FailsOver(&'static str, Option<u16>),
    /// The caller gets these events, and is told that the rest is missing.
    BreaksOff(Vec<String>),
    /// The caller gets these events, and the end that the upstream left out.
    IsWhole(Vec<String>),
}

struct Cut {
    point: &'static str,
    end: End,
    script: Script,
    fate: Fate,
}

/// An event's bytes up to the middle of its one long character.
fn half_a_character(payload: &str) -> Vec<u8> {
    let bytes = format!("data: {payload}\n\n").into_bytes();
    let at = bytes.windows(4).position(|window| window == "🦀".as_bytes()).expect("a crab");
    bytes[..at + 2].to_vec()
}

fn cuts() -> Vec<Cut> {
    [before_the_head(), before_the_content(), behind_the_content(), at_the_end()].into_iter().flatten().collect()
}

fn before_the_head() -> Vec<Cut> {
    let half = || Script::new().write("HTTP/1.1 200 OK\r\ncontent-ty");
    let mut cuts = Vec::new();
    for end in [End::Closed, End::Reset] {
        for (point, script) in [("before the head", Script::new()), ("in the head", half())] {
            cuts.push(Cut { point, end, script: end.of(script), fate: Fate::FailsOver("transport", None) });
        }
    }
    cuts
}

fn before_the_content() -> Vec<Cut> {
    let begun = || Script::event_stream().event(&role());
    let mut cuts = Vec::new();
    for end in [End::Ended, End::Closed, End::Reset] {
        for (point, script) in [
            ("after the head", Script::event_stream()),
            ("after the role", begun()),
            ("in a character before the content", begun().chunk(half_a_character(&text("🦀")))),
        ] {
            cuts.push(Cut { point, end, script: end.of(script), fate: Fate::FailsOver("truncated", Some(200)) });
        }
    }
    cuts
}

fn behind_the_content() -> Vec<Cut> {
    let begun = || Script::event_stream().event(&role()).event(&text("a"));
    let seen = vec![event(&role()), event(&text("a"))];
    let more = [&seen[..], &[event(&text("b"))]].concat();
    let mut cuts = Vec::new();
    for end in [End::Ended, End::Closed, End::Reset] {
        for (point, script, seen) in [
            ("after the first content", begun(), &seen),
            ("in a character behind it", begun().chunk(half_a_character(&text("🦀"))), &seen),
            ("before [DONE], without a reason", begun().event(&text("b")), &more),
        ] {
            cuts.push(Cut { point, end, script: end.of(script), fate: Fate::BreaksOff(seen.clone()) });
        }
    }
    cuts
}

/// A reason to finish is an end where the body then ends in order: some upstreams send no `[DONE]`.
fn at_the_end() -> Vec<Cut> {
    let begun = || Script::event_stream().event(&text("a")).event(&finish());
    let seen = vec![event(&text("a")), event(&finish())];
    let cut = |end: End, fate| Cut { point: "before [DONE], behind the reason", end, script: end.of(begun()), fate };
    vec![
        cut(End::Ended, Fate::IsWhole(seen.clone())),
        cut(End::Closed, Fate::BreaksOff(seen.clone())),
        cut(End::Reset, Fate::BreaksOff(seen)),
    ]
}

/// A cut in its row.
struct Case {
    cut: Cut,
    row: Row,
}

impl Case {
    fn name(&self) -> String {
        format!("{:<34} | {:<6}", self.cut.point, format!("{:?}", self.cut.end).to_lowercase())
    }

    fn tried(&self) -> Vec<Tried> {
        let first = |outcome, status| Tried { side: Side::First, outcome, status };
        match self.cut.fate {
            Fate::FailsOver(outcome, status) => {
                vec![first(outcome, status), Tried { side: Side::Second, outcome: "success", status: Some(200) }]
            }
            Fate::BreaksOff(_) => vec![first("truncated", Some(200))],
            Fate::IsWhole(_) => vec![first("success", Some(200))],
        }
    }

    fn check(&self, answer: &Answer) -> String {
        let name = self.name();
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.header("x-gateway-attempts"), self.tried().len().to_string(), "{name}");
        match &self.cut.fate {
            Fate::FailsOver(..) => {
                self.row.assert_whole(&name, Side::Second, &answer.text());
                assert_eq!(trail::of_answer(answer), self.row.trail(&self.tried()), "{name}");
                "all of the second target's stream".to_owned()
            }
            Fate::BreaksOff(seen) => {
                let events = self.events(answer);
                let (last, before) = events.split_last().expect("events");
                assert_eq!(before, seen, "{name}");
                assert_eq!(error_code(last), "upstream_truncated", "{name}");
                format!("{} events, then upstream_truncated", seen.len())
            }
            Fate::IsWhole(seen) => {
                assert_eq!(self.events(answer), [&seen[..], &[DONE.to_owned()]].concat(), "{name}");
                format!("{} events, then [DONE]", seen.len())
            }
        }
    }

    /// The first target's events as they were sent, under the name that they had.
    fn events(&self, answer: &Answer) -> Vec<String> {
        let text =
            answer.text().replace(&format!(r#""model":"{}","choices""#, self.row.id), r#""model":"gpt-4o","choices""#);
        let mut events: Vec<_> = text.split_inclusive("\n\n").map(str::to_owned).collect();
        events[0] = without_gateway(&events[0]);
        events
    }

    /// A stream was handed out as a success and is known as what it came to in the end.
    fn check_line(&self, line: &Value) {
        let error = if matches!(self.cut.fate, Fate::BreaksOff(_)) { json!("upstream_truncated") } else { Value::Null };
        for (field, expected) in
            [("attempts", json!(self.row.logged(&self.tried()))), ("status", json!(200)), ("error", error)]
        {
            assert_eq!(line[field], expected, "{}: {field} in {line}", self.name());
        }
    }

    /// Makes the same call again, which only a target that has failed does not get.
    async fn check_next(&self, gateway: &GatewayProcess) {
        let name = self.name();
        let next = if matches!(self.cut.fate, Fate::IsWhole(_)) { Side::First } else { Side::Second };
        self.row.first.push(healthy(true));
        self.row.second.push(healthy(true));
        let answer = Client::connect(gateway.address()).await.send(self.row.request()).await;
        self.row.assert_whole(&name, next, &answer.text());
        let tried = [&self.tried()[..], &[Tried { side: next, outcome: "success", status: Some(200) }]].concat();
        self.row.assert_received(&name, &tried);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cut_has_its_verdict() {
    let mut cases = Vec::new();
    for cut in cuts() {
        let row = Row::new(cases.len(), Topology::SecondTarget, true).await;
        row.first.push(cut.script.clone());
        cases.push(Case { cut, row });
    }
    let gateway = gateway(cases.iter().map(|case| &case.row), STRICT);
    for case in &cases {
        let answer = Client::connect(gateway.address()).await.send(case.row.request()).await;
        let got = case.check(&answer);
        let is_line = |line: &str| line.contains(r#""target":"access""#) && line.contains(&case.row.id);
        let line = serde_json::from_str(&gateway.log_line(is_line)).expect("a log line is JSON");
        case.check_line(&line);
        case.row.assert_received(&case.name(), &case.tried());
        let trail = case.row.logged(&case.tried()).replace(&format!("{}-", case.row.id), "");
        println!("{} | {got:<38} | {trail}", case.name());
        case.check_next(&gateway).await;
    }
}
