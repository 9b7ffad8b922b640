//! Streams: the upstream is asked to report what they took, and the caller sees of it what it asked for.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, answer_with, authorized};
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

/// Where a report comes unasked, or none can be asked for, the request is sent as it came.
#[tokio::test]
async fn nothing_is_asked_for_in_vain() {
    let stage = stage(&[("tokens", TOKENS), ("free", "allowed_models: [\"*\"]")]).await;
    let plain = r#"{"model":"gpt-4o","stream":false,"max_tokens":1}"#;
    for (name, path, body) in [
        ("free", CHAT, plain),
        ("tokens", CHAT, plain),
        ("tokens", "/v1/responses", r#"{"model":"gpt-4o","stream":true,"max_output_tokens":1}"#),
        ("tokens", "/v1/embeddings", r#"{"model":"gpt-4o","input":"a","max_tokens":1}"#),
    ] {
        let number = stage.upstream.requests().len();
        drop(stage.send(request(name, "POST", path, body)).await);
        let received = stage.upstream.request(number).await;
        assert_eq!(received.body, body.replace("gpt-4o", "gpt-4o-2024"), "{name} {path}");
    }
    // A plain answer keeps its usage.
    stage.upstream.push(reporting(3, 4));
    let answer = settled(&stage, "tokens", plain).await;
    assert_eq!(answer.json()["usage"]["total_tokens"], 7);
    assert_eq!(call(&stage, "tokens", plain).await.status, 200);
}

/// What a call takes is told to whoever runs the gateway, whether its key is limited or not.
#[tokio::test]
async fn it_is_asked_for_whatever_the_key_is_held_to() {
    let stage = stage(&[("requests", "rate_limit: { requests_per_minute: 1000 }"), ("free", "rate_limit: {}")]).await;
    let body = r#"{"model":"gpt-4o","stream":true}"#;
    let sent = r#"{"model":"gpt-4o-2024","stream_options":{"include_usage":true},"stream":true}"#;
    for call in ["requests", "free"]
        .map(|name| request(name, "POST", CHAT, body))
        .into_iter()
        .chain([authorized("POST", CHAT, body)])
    {
        let number = stage.upstream.requests().len();
        stage.upstream.push(with_usage());
        let mut stream = Events::of(stage.gateway.address(), call).await;
        assert_eq!(stream.rest().await.len(), 4, "what was asked for is kept back");
        assert_eq!(stage.upstream.request(number).await.body, sent);
    }
}

/// How Mistral refuses a stream that is asked for its usage.
const MISTRALS: &str = r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted","input":true}]},"type":"invalid_request_error","param":null,"code":null}"#;

/// A model that refuses the question answers the call all the same, and is left alone once it has refused often enough.
#[tokio::test]
async fn who_refuses_to_be_asked_is_not_asked_again() {
    let stage = stage(&[("tokens", TOKENS)]).await;
    let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1}"#;
    let unasked = body.replace("gpt-4o", "gpt-4o-2024");
    let stream = || Script::events([&*text("a"), &finish(), "[DONE]"]);
    for requests in [2, 4, 6, 7, 8] {
        if requests <= 6 {
            stage.upstream.push(Script::new().answer(422, "application/json", MISTRALS));
        }
        stage.upstream.push(stream());
        let mut answer = Events::of(stage.gateway.address(), request("tokens", "POST", CHAT, body)).await;
        assert_eq!(with_gateway_cut(answer.rest().await), [event(&text("a")), event(&finish()), DONE.to_owned()]);
        let received = stage.upstream.requests();
        assert_eq!((received.len(), &received[requests - 1].body[..]), (requests, unasked.as_bytes()));
    }
    // A caller who asks has it as it wants.
    let own = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}"#;
    stage.upstream.push(Script::new().answer(422, "application/json", MISTRALS));
    let refused = stage.send(request("tokens", "POST", CHAT, own)).await;
    assert_eq!((refused.status.as_u16(), stage.upstream.requests().len()), (422, 9));
}

/// Whose own `stream_options` are wrong learns that from the upstream, and nothing is concluded from it.
#[tokio::test]
async fn a_fault_of_the_callers_own_is_not_taken_for_a_refusal_to_be_asked() {
    let stage = stage(&[("tokens", TOKENS)]).await;
    let wrong = r#"{"model":"gpt-4o","stream":true,"max_tokens":1,"stream_options":{"odd":1}}"#;
    let fault = r#"{"error":{"message":"Unknown parameter: 'stream_options.odd'.","type":"invalid_request_error"}}"#;
    for _ in 0..2 {
        stage.upstream.push(Script::new().answer(400, "application/json", fault));
    }
    let refused = stage.send(request("tokens", "POST", CHAT, wrong)).await;
    assert_eq!((refused.status.as_u16(), refused.text()), (400, fault.to_owned()));
    assert_eq!(stage.upstream.requests()[1].body, wrong.replace("gpt-4o", "gpt-4o-2024"));
    stage.upstream.push(with_usage());
    let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1}"#;
    let mut stream = Events::of(stage.gateway.address(), request("tokens", "POST", CHAT, body)).await;
    assert_eq!(stream.rest().await.len(), 4);
    assert!(String::from_utf8_lossy(&stage.upstream.request(2).await.body).contains("include_usage"));
}

/// `{"error":{"message":"No stream_options."}}`, by gzip.
const GZIPPED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabVJ-*\xca/R\xb2\xaaV\xcaM-.NLOU\xb2R\xf2\xcbW(.)JM\xcc\x8d\xcf/(\xc9\xcc\xcf+\xd6S\xaa\xad\x05\x00\x18\x9e\xec\x06*\x00\x00\x00";

/// However an upstream puts its refusal, a caller who did not ask never sees it.
#[tokio::test]
async fn the_refusal_is_known_in_every_guise() {
    let named = r#"{"error":{"message":"Unknown member `stream_options`.","code":"unsupported_value"}}"#;
    let vague = r#"{"error":{"message":"No include_usage."}}"#;
    let cut = "HTTP/1.1 400 Scripted\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{";
    let rows = [
        ("status", Script::json(400, named)),
        ("their fault", Script::json(500, named)),
        ("vague body", Script::json(200, vague)),
        ("body", Script::json(200, named)),
        ("event", Script::events([named])),
        ("vague event", Script::events([vague])),
        ("gzip", answer_with(422, &[("content-encoding", "gzip"), ("content-type", "application/json")], GZIPPED)),
        ("garbled", answer_with(400, &[("content-encoding", "gzip")], "no gzip")),
        ("mute", Script::json(422, "")),
        ("cut", Script::new().write(cut).close()),
    ];
    for (row, refusal) in rows {
        let is_named = !matches!(row, "garbled" | "mute" | "cut");
        let stage = stage(&[("tokens", TOKENS)]).await;
        let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1}"#;
        // Nothing is concluded from a refusal that does not say of what.
        let rounds = if is_named { [2, 4, 6, 7] } else { [2, 4, 6, 8] };
        for (round, requests) in rounds.into_iter().enumerate() {
            if round < 3 || !is_named {
                stage.upstream.push(refusal.clone());
            }
            stage.upstream.push(Script::events([&*text("a"), &finish(), "[DONE]"]));
            let mut answer = Events::of(stage.gateway.address(), request("tokens", "POST", CHAT, body)).await;
            let id = answer.headers["x-request-id"].to_str().unwrap().to_owned();
            assert_eq!(
                with_gateway_cut(answer.rest().await),
                [event(&text("a")), event(&finish()), DONE.to_owned()],
                "{row}"
            );
            assert_eq!(stage.upstream.requests().len(), requests, "{row}");
            let line = stage.access_line(&id);
            assert_eq!(line["attempts"], "main/gpt-4o-2024:success:200", "{row}: it is one attempt");
            assert_eq!(
                (&line["completion_tokens"], &line["tokens_estimated"]),
                (&1.into(), &true.into()),
                "{row}: {line}"
            );
        }
    }
}

/// Of what else an upstream says nothing is concluded, and what is sent again is sent once.
#[tokio::test]
async fn no_other_error_is_taken_for_a_refusal_to_be_asked() {
    let stage = stage(&[("tokens", TOKENS)]).await;
    let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1}"#;
    let fault = r#"{"error":{"message":"Too hot.","param":"temperature"}}"#;
    for (row, status, words, sent) in
        [("named", 400, fault, 1), ("forbidden", 404, "", 1), ("large", 413, "", 1), ("mute", 400, "", 2)]
    {
        let before = stage.upstream.requests().len();
        for _ in 0..sent {
            stage.upstream.push(Script::json(status, words));
        }
        let refused = stage.send(request("tokens", "POST", CHAT, body)).await;
        assert!(refused.status.as_u16() >= 400, "{row}");
        let received = stage.upstream.requests().split_off(before);
        assert_eq!(received.len(), sent, "{row}");
        let asks = |body: &[u8]| String::from_utf8_lossy(body).contains("include_usage");
        assert!(asks(&received[0].body) && !received.iter().skip(1).any(|it| asks(&it.body)), "{row}");
    }
    // A plain call asks for nothing, so it is not sent again.
    let before = stage.upstream.requests().len();
    stage.upstream.push(Script::json(400, ""));
    let refused = settled(&stage, "tokens", r#"{"model":"gpt-4o","max_tokens":1}"#).await;
    assert_eq!((refused.status.as_u16(), stage.upstream.requests().len()), (400, before + 1));
}

/// What the attempt came to is what came of the request that did not ask.
#[tokio::test]
async fn a_failure_behind_the_refusal_is_noted_without_it() {
    let stage = stage(&[("tokens", TOKENS)]).await;
    let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1}"#;
    for (row, script, status) in
        [("reset", Script::new().write("HTTP/1.1 200").reset(), ""), ("busy", Script::json(503, "{}"), ":503")]
    {
        stage.upstream.push(Script::new().answer(422, "application/json", MISTRALS));
        stage.upstream.push(script);
        let failed = call(&stage, "tokens", body).await;
        let line = stage.access_line(failed.header("x-request-id"));
        let attempts = line["attempts"].as_str().unwrap();
        assert!(!attempts.contains("422") && attempts.ends_with(status), "{row}: {attempts}");
        assert_eq!(failed.status.as_u16(), 502, "{row}");
    }
}

/// Upstreams quote their callers. None of these may keep the others from being counted.
#[tokio::test]
async fn one_that_reports_in_between_is_asked_on() {
    let stage = stage(&[("tokens", TOKENS)]).await;
    let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":1}"#;
    let quoting = r#"{"error":{"message":"Cannot read 'stream_options' at your address."}}"#;
    for _ in 0..4 {
        stage.upstream.push(Script::json(400, quoting));
        stage.upstream.push(Script::events([&*text("a"), &finish(), "[DONE]"]));
        let refused = stage.upstream.requests().len();
        assert_eq!(call(&stage, "tokens", body).await.status, 200);
        assert_eq!(stage.upstream.requests().len(), refused + 2);
        stage.upstream.push(with_usage());
        assert_eq!(call(&stage, "tokens", body).await.status, 200);
        assert_eq!(stage.upstream.requests().len(), refused + 3);
    }
}
