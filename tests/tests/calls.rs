//! A call that goes well: what the upstream receives, and what the caller gets back, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use gateway_testing::{ReceivedRequest, Script};
use gateway_tests::stage::{
    CALL, CALLER_KEY, CHAT, ONE_WORKER, PLAIN, PROVIDER_KEY, Stage, answer_with, authorized, with_header,
};

/// Everything that a rewriting parser would change: odd spaces, numbers that no float holds, escapes, equal names inside.
const ODD: &str = "\n{ \"a\" : 1.0e+10 ,\r\n\t\"model\"  :  \"gpt-4o\", \"big\":123456789012345678901234567890.10,\
                   \"esc\":\"\\u00e9\\/\\ud83d\\ude00 é😀\", \"x\":{\"model\":\"gpt-4o\",\"stream\":1,\"gateway\":{}},\
                   \"a\":-0.0, \"messages\":[ ] }  \n";

fn filled(body: &str) -> String {
    body.replacen("\"gpt-4o\"", "\"gpt-4o-2024\"", 1)
}

fn assert_is_made_by_the_gateway(received: &ReceivedRequest, host: &str, row: &str) {
    let mut names: Vec<_> = received.headers().map(|(name, _)| name.to_lowercase()).collect();
    names.sort_unstable();
    let expected = ["accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent", "via"];
    assert_eq!(names, expected, "{row}");
    for (name, value) in [
        ("accept-encoding", "identity"),
        ("authorization", &*format!("Bearer {PROVIDER_KEY}")),
        ("content-length", &*received.body.len().to_string()),
        ("content-type", "application/json"),
        ("host", host),
        ("user-agent", concat!("llm-gateway/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(received.header(name), Some(value), "{row}");
    }
    let via = received.header("via").unwrap_or_default();
    assert!(via.starts_with("1.1 llm-gateway-"), "{row}: {via}");
}

#[tokio::test]
async fn every_json_endpoint_reaches_its_own_path_with_a_request_of_the_gateways_own() {
    let stage = Stage::with(ONE_WORKER).await;
    let host = stage.upstream.address().to_string();
    for (path, target) in [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/completions", "/v1/completions"),
        ("/v1/embeddings", "/v1/embeddings"),
        ("/v1/responses", "/v1/responses"),
        ("/v1/moderations", "/v1/moderations"),
        ("/v1/images/generations", "/v1/images/generations"),
        ("/v1/audio/speech", "/v1/audio/speech"),
        ("/v1/rerank", "/v1/rerank"),
        ("/api/llm", "/v1/chat/completions"),
        ("/v1/chat/completions?key=secret&model=other", "/v1/chat/completions"),
    ] {
        let (answer, received) = stage.exchange(authorized("POST", path, ODD), Script::json(200, "{}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!((received.method(), received.target()), ("POST", target), "{path}");
        assert_eq!(received.body, filled(ODD), "{path}");
        assert_is_made_by_the_gateway(&received, &host, path);
    }
    assert_eq!(stage.upstream.connections(), 1, "the connection is used again");
}

#[tokio::test]
async fn only_the_members_that_the_gateway_reads_are_edited() {
    let stage = Stage::with("").await;
    for (sent, forwarded) in [
        (r#"{"model_id":"gpt-4o","n":1}"#, r#"{"model":"gpt-4o-2024","n":1}"#),
        (r#"{"n":1,"model_id" : "gpt-4o" }"#, r#"{"n":1,"model" : "gpt-4o-2024" }"#),
        (r#"{"model":"gpt\u002d4o","n":1}"#, r#"{"model":"gpt-4o-2024","n":1}"#),
        (r#"{"gateway":{"max_retries":0},"model":"gpt-4o","n":1}"#, r#"{"model":"gpt-4o-2024","n":1}"#),
        (r#"{"model":"gpt-4o","gateway":{"tags":{"a":"b"}},"n":1}"#, r#"{"model":"gpt-4o-2024","n":1}"#),
        (r#"{"n":1,"model":"gpt-4o","gateway":{}}"#, r#"{"n":1,"model":"gpt-4o-2024"}"#),
        (r#"{"models":["gpt-4o"],"n":1}"#, r#"{"model":"gpt-4o-2024","n":1}"#),
        (r#"{"n":1,"gateway":{"models":["gpt-4o"]}}"#, r#"{"model":"gpt-4o-2024","n":1}"#),
        (r#"{"gateway":{"models":["gpt-4o"]}}"#, r#"{"model":"gpt-4o-2024"}"#),
        (
            r#"{"models":["gpt-4o"],"gateway":{},"model":"gpt-4o","fallbacks":["gpt-4o"],"n":1.50}"#,
            r#"{"model":"gpt-4o-2024","n":1.50}"#,
        ),
        (r#"{"model":"gpt-4o","stream":false}"#, r#"{"model":"gpt-4o-2024","stream":false}"#),
    ] {
        let (answer, received) = stage.exchange(authorized("POST", CHAT, sent), Script::json(200, "{}")).await;
        assert_eq!(answer.status, 200, "{sent}: {}", answer.text());
        assert_eq!(received.body, forwarded, "{sent}");
    }
}

#[tokio::test]
async fn the_answer_says_who_served_and_keeps_every_other_byte() {
    let stage = Stage::with("provider_suffix: Acme\n").await;
    let from_upstream = "{ \"id\":\"x\\u00e9\", \"model\" : \"gpt-4o-2024-08-06\",\r\n\"gateway\":{\"forged\":1},\
                         \"usage\":{\"model\":\"inner\",\"cost\":1.50e+2} }\n";
    let asked = with_header(authorized("POST", CHAT, r#"{"model":"Acme/gpt-4o"}"#), "x-request-id", "mine-1");
    let (answer, _) = stage.exchange(asked, Script::json(201, from_upstream)).await;

    let text = answer.text();
    let (before, member) = text.split_once("\"gateway\":").unwrap();
    let (member, after) = member.rsplit_once('}').unwrap();
    // The forged member went, with the comma and the space before it.
    let expected = "{ \"id\":\"x\\u00e9\", \"model\" : \"Acme/gpt-4o\",\
                    \"usage\":{\"model\":\"inner\",\"cost\":1.50e+2}";
    assert_eq!(before.trim_end_matches(',').trim_end(), expected);
    assert_eq!(after, "\n");
    let mut member: serde_json::Value = serde_json::from_str(member).unwrap();
    assert!(member["attempts"][0]["ms"].take().is_u64());
    let attempt = serde_json::json!({
        "model": "gpt-4o", "provider": "main", "outcome": "success", "status": 201, "ms": null,
    });
    let served = serde_json::json!({
        "model": "Acme/gpt-4o", "provider": "main", "upstream_model": "gpt-4o-2024",
        "attempts": [attempt], "request_id": "mine-1",
    });
    assert_eq!(member, served);
    assert_eq!(answer.status, 201);
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-length", &*text.len().to_string()),
        ("x-gateway-model", "Acme/gpt-4o"),
        ("x-gateway-provider", "main"),
        ("x-gateway-attempts", "1"),
        ("x-request-id", "mine-1"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("x-gateway-overhead-us").parse::<u64>().is_ok());
}

#[tokio::test]
async fn answers_without_a_model_and_answers_that_are_no_objects_stay_what_they_are() {
    let stage = Stage::with("").await;
    for (from_upstream, expected) in [
        ("{}", r#"{"gateway":"#),
        (r#"{"object":"list"}"#, r#"{"object":"list","gateway":"#),
        (r#"{"model":null}"#, r#"{"model":null,"gateway":"#),
        (r#"{"error":null,"n":1}"#, r#"{"error":null,"n":1,"gateway":"#),
        ("[1, 2]", "[1, 2]"),
        ("\"text\"", "\"text\""),
    ] {
        let (answer, _) = stage.exchange(authorized("POST", CHAT, CALL), Script::json(200, from_upstream)).await;
        assert!(answer.text().starts_with(expected), "{from_upstream}: {}", answer.text());
        if !expected.ends_with(':') {
            assert_eq!(answer.text(), expected);
        }
    }
}

#[tokio::test]
async fn request_ids_are_kept_if_they_are_fit_to_be_shown_and_made_otherwise() {
    let stage = Stage::with("").await;
    let longest = "x".repeat(128);
    for own in ["a", "8c1d-~!", &longest] {
        let asked = with_header(authorized("POST", CHAT, CALL), "x-request-id", own);
        let (answer, _) = stage.exchange(asked, Script::json(200, "{}")).await;
        assert_eq!(answer.header("x-request-id"), own);
        assert_eq!(answer.json()["gateway"]["request_id"], own);
    }
    for unfit in ["", "two words", "caf\u{e9}", &"x".repeat(129)] {
        let asked = with_header(authorized("POST", CHAT, CALL), "x-request-id", unfit);
        let (answer, _) = stage.exchange(asked, Script::json(200, "{}")).await;
        let made = answer.header("x-request-id");
        assert!(made.starts_with("req_") && made.len() == 36, "{unfit}: {made}");
        assert_eq!(answer.json()["gateway"]["request_id"], made);
    }
    let (one, other) = (stage.post("/v1/nothing", "").await, stage.post("/v1/nothing", "").await);
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn a_call_is_one_line_in_the_access_log() {
    let stage = Stage::with("provider_suffix: Proxy\n").await;
    let body = r#"{"model":"Proxy/gpt-4o","gateway":{"tags":{"job":"nightly"}}}"#;
    let asked = with_header(authorized("POST", "/api/llm", body), "x-request-id", "line-1");
    let (answer, _) = stage.exchange(asked, Script::json(200, "{}")).await;
    let line = stage.access_line("line-1");
    for (field, expected) in [
        ("key", serde_json::json!("team")),
        ("endpoint", serde_json::json!("/v1/chat/completions")),
        ("model", serde_json::json!("gpt-4o")),
        ("provider", serde_json::json!("main")),
        ("upstream_model", serde_json::json!("gpt-4o-2024")),
        ("status", serde_json::json!(200)),
        ("error", serde_json::Value::Null),
        ("stream", serde_json::json!(false)),
        ("attempts", serde_json::json!("main/gpt-4o-2024:success:200")),
        ("tags", serde_json::json!("job=nightly")),
        ("bytes", serde_json::json!(answer.body.len())),
    ] {
        assert_eq!(line[field], expected, "{field} in {line}");
    }
    for field in ["ttft_ms", "duration_ms", "overhead_us"] {
        assert!(line[field].is_number(), "{field} in {line}");
    }
    assert!(!stage.stop().contains(r#""target":"access""#), "one line a call");
}

#[tokio::test]
async fn bodies_go_untouched_where_rewriting_is_off() {
    let from_upstream = r#"{"model":"gpt-4o-2024","gateway":{"own":1}}"#;
    let per_model = "models:\n  gpt-4o: { rewrite_response: false }\n";
    let on_again = "rewrite_response: false\nmodels:\n  gpt-4o: { rewrite_response: true }\n";
    for (sections, untouched) in [("rewrite_response: false\n", true), (per_model, true), (on_again, false)] {
        let stage = Stage::with(sections).await;
        let (answer, received) = stage.exchange(authorized("POST", CHAT, CALL), Script::json(200, from_upstream)).await;
        assert_eq!(received.body, filled(CALL), "{sections}");
        assert_eq!(answer.text() == from_upstream, untouched, "{sections}: {}", answer.text());
        assert_eq!(answer.header("x-gateway-model"), "gpt-4o", "{sections}");
        assert_eq!(answer.header("x-gateway-attempts"), "1", "{sections}");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{sections}");
    }
}

#[tokio::test]
async fn what_is_not_json_passes_where_no_json_is_promised() {
    let stage = Stage::with("").await;
    let audio: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let asked = authorized("POST", "/v1/audio/speech", CALL);
    let (answer, _) = stage.exchange(asked, Script::new().answer(200, "audio/mpeg", &audio)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "audio/mpeg");
    assert_eq!(answer.header("content-length"), "100000");
    assert_eq!(answer.header("x-gateway-provider"), "main");
    assert_eq!(answer.body, audio);
}

#[tokio::test]
async fn json_is_judged_by_its_bytes_and_not_by_its_label() {
    let stage = Stage::with("").await;
    for label in ["text/plain", "application/json; charset=utf-8", "application/octet-stream"] {
        let script = Script::new().answer(200, label, r#"{"model":"m"}"#);
        let (answer, _) = stage.exchange(authorized("POST", CHAT, CALL), script).await;
        assert_eq!(answer.json()["model"], "gpt-4o", "{label}");
    }
    let chunks = Script::new()
        .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .chunk(r#"{"mod"#)
        .chunk(r#"el":"m"}"#)
        .end_chunks();
    let (answer, _) = stage.exchange(authorized("POST", CHAT, CALL), chunks).await;
    assert_eq!(answer.json()["model"], "gpt-4o");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
}

#[tokio::test]
async fn a_compressed_answer_is_read_although_none_was_asked_for() {
    let gzip: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xcd\x4f\x49\xcd\x51\xb2\x52\x4a\x2f\x28\xd1\
                        \x35\xc9\xd7\x35\x32\x30\x32\x51\xd2\x51\xca\x53\xb2\x32\xac\x05\x00\x52\x65\xe1\xf8\x1d\x00\
                        \x00\x00";
    let stage = Stage::with("").await;
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let (answer, _) = stage.exchange(authorized("POST", CHAT, CALL), answer_with(200, &headers, gzip)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-encoding"), "");
    assert!(answer.text().starts_with(r#"{"model":"gpt-4o","n":1,"gateway":{"#), "{}", answer.text());
    let (refused, _) = stage.exchange(authorized("POST", CHAT, CALL), answer_with(400, &headers, gzip)).await;
    assert_eq!((refused.status.as_u16(), &*refused.text()), (400, r#"{"model":"gpt-4o-2024","n":1}"#));
    assert_eq!(refused.header("content-encoding"), "");
}

#[tokio::test]
async fn what_is_said_before_the_answer_is_not_the_answer() {
    let stage = Stage::with("").await;
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let script = Script::new().write(early).answer(200, "application/json", "{}");
    let (answer, _) = stage.exchange(authorized("POST", CHAT, CALL), script).await;
    assert_eq!((answer.status.as_u16(), answer.header("link")), (200, ""));
    assert!(answer.text().starts_with(r#"{"gateway":"#));
}

/// `{"model":"…","pad":"xxx…"}`.
fn padded(model: &str, size: usize) -> String {
    let mut body = format!(r#"{{"model":"{model}","pad":""#);
    body.extend(std::iter::repeat_n('x', size));
    body.push_str("\"}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_whole_both_ways() {
    let stage = Stage::with("server: { max_body: 64MiB }\n").await;
    for size in [1 << 20, 20 << 20] {
        let asked = authorized("POST", CHAT, padded("gpt-4o", size));
        let (answer, received) = stage.exchange(asked, Script::json(200, padded("m", size))).await;
        assert_eq!(answer.status, 200);
        assert!(received.body == padded("gpt-4o-2024", size), "{size}");
        let mut shown = padded("gpt-4o", size);
        shown.pop();
        assert!(answer.body.starts_with(shown.as_bytes()), "{size}");
        assert!(answer.body[shown.len()..].starts_with(br#","gateway":{"model":"gpt-4o""#), "{size}");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_too_large_to_hold_pass_unrewritten() {
    let stage = Stage::with("").await;
    let huge = Bytes::from(padded("m", 33 << 20));
    let (answer, _) = stage.exchange(authorized("POST", CHAT, CALL), Script::json(200, &huge)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), huge.len().to_string());
    assert_eq!(answer.header("x-gateway-model"), "gpt-4o");
    assert!(answer.body == huge);
}

#[tokio::test]
async fn the_simulator_in_the_binary_answers_every_endpoint_that_it_knows() {
    let config = PLAIN.replace(r#"api_base: "${UPSTREAM}""#, "type: simulator");
    let stage = Stage::of(&config).await;
    let chat = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#;
    for (path, body) in [(CHAT, chat), ("/api/llm", chat), ("/v1/embeddings", r#"{"model":"gpt-4o","input":"Hello"}"#)]
    {
        let answer = stage.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["model"], "gpt-4o", "{path}");
        assert_eq!(answer.json()["gateway"]["provider"], "main", "{path}");
        assert!(!answer.text().contains(CALLER_KEY));
    }
}
