//! What is believed of an upstream's report: the word of an answer that came to its end, and of nothing else.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, Stage};
use gateway_tests::stream::{Events, finish, role, text};
use serde_json::Value;

use super::scene::{call, request, stage, usage};

/// A call whose prompt is taken for 13 tokens, and whose answer may have 487.
const EXPECTED: &str = r#"{"model":"gpt-4o","max_tokens":487,"messages":[{"role":"user","content":"The quick brown fox jumps over the lazy dog."}]}"#;

/// More than all calls here take, so that prompts are counted and nothing is refused.
const PLENTY: &str = "rate_limit: { tokens_per_minute: 1000000 }";

/// An event with sixty tokens of text, by the rule of thumb that goes by bytes, and a report beside it.
fn sixty(prompt: u64, completion: u64) -> String {
    beside(&text(&"word ".repeat(48)), &usage(prompt, completion))
}

fn beside(payload: &str, member: &str) -> String {
    format!("{},{member}}}", payload.strip_suffix('}').unwrap())
}

/// What the access log says of a call: the tokens of prompt and answer, and whether they are estimated.
fn logged(stage: &Stage, id: &str) -> (u64, u64, bool) {
    let line = stage.access_line(id);
    let count = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name}: {line}"));
    (count("prompt_tokens"), count("completion_tokens"), line["tokens_estimated"] == Value::Bool(true))
}

async fn open(stage: &Stage) -> (Events, String) {
    let body = EXPECTED.replacen('{', r#"{"stream":true,"#, 1);
    let events = Events::of(stage.gateway.address(), request("team-a", "POST", CHAT, body)).await;
    let id = events.headers["x-request-id"].to_str().unwrap().to_owned();
    (events, id)
}

/// Vendors that report with every event begin at 0, and some stay there up to the last.
#[tokio::test(flavor = "multi_thread")]
async fn an_interim_report_is_not_the_last_word_on_a_stream_that_broke_off() {
    let stage = stage(&[("team-a", PLENTY)]).await;
    let broken = |events: [&str; 3]| events.iter().fold(Script::event_stream(), |script, event| script.event(event));
    for (row, script, expected) in [
        ("zeros", broken([&beside(&role(), &usage(0, 0)), &sixty(0, 0), &sixty(0, 0)]), (13, 120, true)),
        ("behind", broken([&beside(&role(), &usage(10, 1)), &sixty(10, 1), &sixty(10, 1)]), (10, 120, true)),
        ("half", broken([&role(), &sixty(0, 200), &sixty(0, 200)]), (13, 200, true)),
        ("ahead", broken([&role(), &sixty(10, 100), &sixty(10, 200)]), (10, 200, false)),
        ("silent", broken([&role(), &text(&"word ".repeat(48)), &text(&"word ".repeat(48))]), (13, 120, true)),
    ] {
        for (how, script) in [("closed", script.clone().end_chunks()), ("reset", script.clone().reset())] {
            stage.upstream.push(script);
            let (mut events, id) = open(&stage).await;
            assert!(events.rest().await.iter().any(|event| event.contains("error")), "{row} {how}");
            assert_eq!(logged(&stage, &id), expected, "{row} {how}");
        }
        stage.upstream.push(script.stall());
        let (mut events, id) = open(&stage).await;
        for _ in 0..3 {
            events.next().await.unwrap();
        }
        drop(events);
        assert_eq!(logged(&stage, &id), expected, "{row}: the caller left");
    }
}

/// Of a stream that came to its end, the largest of what was reported is exact.
#[tokio::test]
async fn the_reports_of_a_whole_stream_are_put_together() {
    let stage = stage(&[("team-a", PLENTY)]).await;
    let first = beside(&role(), r#""usage":{"input_tokens":25,"output_tokens":1}"#);
    let delta = beside(&finish(), r#""usage":{"output_tokens":15}"#);
    for (row, script, expected) in [
        ("counting", [&*sixty(10, 60), &sixty(10, 120), &finish()], (10, 120, false)),
        ("zeros first", [&*sixty(0, 0), &finish(), &format!(r#"{{"choices":[],{}}}"#, usage(10, 7))], (10, 7, false)),
        ("zeros last", [&*sixty(10, 10), &finish(), &format!(r#"{{"choices":[],{}}}"#, usage(0, 0))], (10, 10, false)),
        ("in parts", [&*first, &text("a"), &delta], (25, 15, false)),
    ] {
        stage.upstream.push(Script::events(script.into_iter().chain(["[DONE]"])));
        let (mut events, id) = open(&stage).await;
        events.rest().await;
        assert_eq!(logged(&stage, &id), expected, "{row}");
    }
}

/// A half of a report that cannot be read is estimated, and never free; what no call can take is not believed.
#[tokio::test]
async fn half_a_report_is_half_an_estimate() {
    let stage = stage(&[("team-a", PLENTY)]).await;
    let answer = |prompt: &str, completion: &str| {
        let head = format!(r#"{{"usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion}}},"text":""#);
        let rest = 400 - head.len() - 2;
        format!("{head}{}\"}}", "a".repeat(rest))
    };
    let mut rows = vec![("12.0".to_owned(), "1e1".to_owned(), (12, 10, false))];
    for odd in ["-1", "1.5", "18446744073709551615", "1e30", "9007199254740992", "\"7\"", "null"] {
        rows.push((odd.to_owned(), "7".to_owned(), (13, 7, true)));
        rows.push(("7".to_owned(), odd.to_owned(), (7, 100, true)));
        rows.push((odd.to_owned(), odd.to_owned(), (13, 100, true)));
    }
    for (prompt, completion, expected) in rows {
        stage.upstream.push(Script::json(200, answer(&prompt, &completion)));
        let answer = call(&stage, "team-a", EXPECTED).await;
        assert_eq!(logged(&stage, answer.header("x-request-id")), expected, "{prompt} {completion}");
    }
}
