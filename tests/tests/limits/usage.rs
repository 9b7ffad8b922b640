//! Streams of keys whose tokens are counted: the upstream is asked to report what they took, and the caller sees of it what it
//! asked for.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, authorized};
use gateway_tests::stream::{DONE, Events, event, finish, role, text, without_gateway};

use super::scene::{TOKENS, call, reporting, request, settled, stage, usage};

const BUDGET: &str = "budget: { usd: 5, period: total }";

/// A null `usage` as OpenAI puts it into every event of a stream that is to end with one.
fn null(payload: &str) -> String {
    let open = payload.strip_suffix('}').unwrap();
    format!("{open},\"usage\":null}}")
}

/// A stream as OpenAI sends it when it is asked for the usage.
fn with_usage() -> Script {
    let report = format!(r#"{{"id":"c-1","model":"gpt-4o-2024","choices":[],{}}}"#, usage(3, 4));
    Script::events([&*null(&role()), &null(&text("a")), &null(&finish()), &report, "[DONE]"])
}

fn with_gateway_cut(events: Vec<String>) -> Vec<String> {
    let mut events = events.into_iter();
    let first = events.next().map(|first| without_gateway(&first));
    first.into_iter().chain(events).collect()
}

#[tokio::test]
async fn the_usage_is_asked_for_and_kept_from_who_did_not_ask() {
    let stage = stage(&[("tokens", TOKENS), ("budget", BUDGET)]).await;
    let ask = r#""stream_options":{"include_usage":true}"#;
    let rows = [
        (String::new(), ask.to_owned()),
        (r#""stream_options":null"#.to_owned(), ask.to_owned()),
        (r#""stream_options":{}"#.to_owned(), ask.to_owned()),
        (r#""stream_options":{"include_usage":false}"#.to_owned(), ask.to_owned()),
        (
            r#""stream_options":{"include_obfuscation":false}"#.to_owned(),
            r#""stream_options":{"include_usage":true,"include_obfuscation":false}"#.to_owned(),
        ),
    ];
    for name in ["tokens", "budget"] {
        for (member, sent) in &rows {
            let comma = if member.is_empty() { "" } else { "," };
            let body = format!(r#"{{"model":"gpt-4o","stream":true,"max_tokens":1{comma}{member}}}"#);
            let number = stage.upstream.requests().len();
            stage.upstream.push(with_usage());
            let mut stream = Events::of(stage.gateway.address(), request(name, "POST", CHAT, body)).await;
            let seen = with_gateway_cut(stream.rest().await);
            assert_eq!(seen, [event(&role()), event(&text("a")), event(&finish()), DONE.to_owned()], "{name} {member}");
            let received = stage.upstream.request(number).await;
            let received = String::from_utf8(received.body.to_vec()).unwrap();
            assert_eq!(received.matches("stream_options").count(), 1, "{name} {member}: {received}");
            assert!(received.contains(sent), "{name} {member}: {received}");
            let parsed: serde_json::Value = serde_json::from_str(&received).unwrap();
            assert_eq!((&parsed["model"], &parsed["stream"]), (&"gpt-4o-2024".into(), &true.into()), "{received}");
        }
    }
}

#[tokio::test]
async fn who_asked_sees_it() {
    let stage = stage(&[("tokens", TOKENS)]).await;
    let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1,"stream_options":{"include_usage":true}}"#;
    stage.upstream.push(with_usage());
    let mut stream = Events::of(stage.gateway.address(), request("tokens", "POST", CHAT, body)).await;
    let events = with_gateway_cut(stream.rest().await);
    let report = format!(r#"{{"id":"c-1","model":"gpt-4o","choices":[],{}}}"#, usage(3, 4));
    let expected = [null(&role()), null(&text("a")), null(&finish()), report].map(|payload| event(&payload));
    assert_eq!(events[..4], expected);
    assert_eq!(events[4..], [DONE]);
    assert_eq!(stage.upstream.requests()[0].body, body.replace("gpt-4o", "gpt-4o-2024"));
}

/// Beside a choice, vendors report unasked, and the caller may have come to rely on it.
#[tokio::test]
async fn usage_that_comes_unasked_stays() {
    let stage = stage(&[("tokens", TOKENS)]).await;
    let last = finish();
    let last = format!("{},{}}}", last.strip_suffix('}').unwrap(), usage(3, 4));
    stage.upstream.push(Script::events([&*text("a"), &last, "[DONE]"]));
    let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1}"#;
    let mut stream = Events::of(stage.gateway.address(), request("tokens", "POST", CHAT, body)).await;
    assert_eq!(with_gateway_cut(stream.rest().await), [event(&text("a")), event(&last), DONE.to_owned()]);
}

/// Where nothing is counted, and where a report comes unasked, the request is sent as it came.
#[tokio::test]
async fn nothing_is_asked_for_in_vain() {
    let stage = stage(&[
        ("tokens", TOKENS),
        ("requests", "rate_limit: { requests_per_minute: 1000, max_concurrent: 10 }"),
        ("free", "allowed_models: [\"*\"]"),
    ])
    .await;
    let streamed = r#"{"model":"gpt-4o","stream":true,"stream_options":{},"max_tokens":1}"#;
    let plain = r#"{"model":"gpt-4o","stream":false,"max_tokens":1}"#;
    for (name, path, body) in [
        ("requests", CHAT, streamed),
        ("free", CHAT, streamed),
        ("requests", CHAT, plain),
        ("tokens", CHAT, plain),
        ("tokens", "/v1/responses", r#"{"model":"gpt-4o","stream":true,"max_output_tokens":1}"#),
        ("tokens", "/v1/embeddings", r#"{"model":"gpt-4o","input":"a","max_tokens":1}"#),
    ] {
        let number = stage.upstream.requests().len();
        drop(stage.send(request(name, "POST", path, body)).await);
        let received = stage.upstream.request(number).await;
        assert_eq!(received.body, body.replace("gpt-4o", "gpt-4o-2024"), "{name} {path}");
    }
    // Nobody's usage is withheld where nobody's tokens are counted.
    stage.upstream.push(with_usage());
    let number = stage.upstream.requests().len();
    let body = r#"{"model":"gpt-4o","stream":true}"#;
    let mut stream = Events::of(stage.gateway.address(), authorized("POST", CHAT, body)).await;
    assert_eq!(stream.rest().await.len(), 5);
    assert_eq!(stage.upstream.request(number).await.body, body.replace("gpt-4o", "gpt-4o-2024"));
    // A plain answer keeps its usage.
    stage.upstream.push(reporting(3, 4));
    let answer = settled(&stage, "tokens", plain).await;
    assert_eq!(answer.json()["usage"]["total_tokens"], 7);
    assert_eq!(call(&stage, "tokens", plain).await.status, 200);
}
