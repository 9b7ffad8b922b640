//! A request that is too long for one model and finds another one down: what the caller can do something about is the
//! length, so that is what it is told.

use gateway_testing::{Client, Script};
use gateway_tests::stream::role;
use serde_json::{Value, json};

use super::behaviours::TOO_LONG;
use super::scene::{Row, Side, Topology, Tried, gateway};

/// One retry, whose backoff nobody has to wait for.
const PATIENCE: &str = "retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms }\n";

/// How the first model says it, and with which status.
fn too_long(streamed: bool, status: u16) -> Script {
    match (status, streamed) {
        (200, true) => Script::events([&*role(), TOO_LONG, "[DONE]"]),
        _ => Script::json(status, TOO_LONG),
    }
}

/// What the fallback does to each request, and what came of it.
fn failures() -> [(&'static str, Script, Tried); 3] {
    let row = |name, script, outcome, status| (name, script, Tried { side: Side::Second, outcome, status });
    [
        row("500", Script::json(500, "{}"), "server_error", Some(500)),
        row("503", Script::json(503, "{}"), "overloaded", Some(503)),
        row("reset", Script::new().reset(), "transport", None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_is_what_the_caller_hears_of() {
    let mut cases = Vec::new();
    for streamed in [false, true] {
        for status in [200, 400] {
            for (name, failure, failed) in failures() {
                let row = Row::silent(cases.len(), Topology::FallbackModel, streamed).await;
                row.first.push(too_long(streamed, status));
                (0..3).for_each(|_| row.second.push(failure.clone()));
                let first = Tried { side: Side::First, outcome: "context_length", status: Some(status) };
                cases.push((format!("{name} behind a {status}"), row, [first, failed, failed]));
            }
        }
    }
    let gateway = gateway(cases.iter().map(|(_, row, _)| row), PATIENCE);
    for (name, row, tried) in &cases {
        let answer = Client::connect(gateway.address()).await.send(row.request()).await;
        assert_eq!((answer.status.as_u16(), &*answer.text()), (400, TOO_LONG), "{name}");
        let expected = [("x-gateway-provider", row.provider(Side::First)), ("x-gateway-model", row.model(Side::First))];
        for (header, value) in expected {
            assert_eq!(answer.header(header), value, "{name}: {header}");
        }
        assert_eq!(answer.header("x-gateway-attempts"), "3", "{name}");
        row.assert_received(name, tried);
        let line = gateway.log_line(|line| line.contains(r#""target":"access""#) && line.contains(&row.id));
        let line: Value = serde_json::from_str(&line).expect("a log line is JSON");
        for (field, value) in [("attempts", json!(row.logged(tried))), ("status", json!(400)), ("error", Value::Null)] {
            assert_eq!(line[field], value, "{name}: {field} in {line}");
        }
    }
}
