//! Requests that are refused: the exact answer to each, nothing sent upstream, and the gateway none the worse for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use gateway_testing::Script;
use gateway_tests::refusal::{assert_refused, invalid};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, Stage, authorized, key_line, with_header};
use gateway_tests::wire::{Wire, exchange, lines as raw};
use tokio::time::timeout;

fn post(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gw\r\nauthorization: Bearer {CALLER_KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Posts every body over one connection, which must survive all of them.
async fn assert_all_refused(stage: &Stage, rows: &[(&str, u16, String)]) {
    let mut wire = Wire::open(stage.gateway.address()).await;
    for (body, status, expected) in rows {
        wire.write(post(body)).await;
        assert_refused(body, &wire.reply().await, *status, expected);
    }
    stage.assert_nothing_was_sent("any body");
}

#[tokio::test]
async fn bodies_that_are_not_json_are_told_where() {
    let stage = Stage::with("").await;
    let at = |problem: &str| {
        let message = format!("The request body is not valid JSON: {problem}. Correct it and send the request again.");
        invalid("invalid_json", "", &message)
    };
    let no_object =
        || invalid("invalid_json", "", "The request body is not a JSON object. Send one that names a `model`.");
    let rows = [
        ("", 400, at("EOF while parsing a value at line 1 column 0")),
        ("{", 400, at("EOF while parsing an object at line 1 column 1")),
        (r#"{"model":"gpt-4o",}"#, 400, at("key must be a string at line 1 column 19")),
        (r#"{"model":"gpt-4o"} x"#, 400, at("trailing characters at line 1 column 20")),
        ("{\n  \"model\": \"gpt-4o\",\n  \"n\": 01\n}", 400, at("invalid number at line 3 column 9")),
        (r#"{"model":"gpt-4o","n":NaN}"#, 400, at("expected value at line 1 column 23")),
        ("{'model':'gpt-4o'}", 400, at("key must be a string at line 1 column 2")),
        (r#"{"model":"gpt-4o","n":"\x"}"#, 400, at("invalid escape at line 1 column 25")),
        (
            "{\"model\":\"gpt-4o\",\"n\":\"a\nb\"}",
            400,
            at("control character (\\u0000-\\u001F) found while parsing a string at line 1 column 24"),
        ),
        ("[]", 400, no_object()),
        ("\"gpt-4o\"", 400, no_object()),
        ("null", 400, no_object()),
    ];
    assert_all_refused(&stage, &rows).await;
    // The only one that is no text, so it cannot be a row.
    let reply = exchange(stage.gateway.address(), post(b"{\"model\":\"gpt-4o\",\n\"n\":\"\xff\"}")).await;
    assert_refused("invalid UTF-8", &reply, 400, &at("invalid UTF-8 at line 2 column 6"));
    stage.assert_nothing_was_sent("invalid UTF-8");
}

#[tokio::test]
async fn models_have_to_be_named_and_known() {
    let stage = Stage::with("").await;
    let missing = || {
        let message = "The request names no model. Set `model` to one of the names listed at /v1/models.";
        invalid("missing_model", "model", message)
    };
    let no_name = |field: &str| {
        let message = format!(
            "The field `{field}` is not valid. It must be a non-empty string of at most 256 bytes without control characters."
        );
        invalid("", field, &message)
    };
    let unknown = |message: &str| invalid("model_not_found", "model", message);
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(257));
    let rows = [
        ("{}", 400, missing()),
        (r#"{"messages":[],"x":{"model":"gpt-4o"}}"#, 400, missing()),
        (r#"{"gateway":{"models":[]}}"#, 400, missing()),
        (r#"{"model":7}"#, 400, no_name("model")),
        (r#"{"model":["gpt-4o"]}"#, 400, no_name("model")),
        (r#"{"model":""}"#, 400, no_name("model")),
        (r#"{"model":"gpt-4o\u0000"}"#, 400, no_name("model")),
        (r#"{"model_id":"gpt\n4o"}"#, 400, no_name("model_id")),
        (&*long, 400, no_name("model")),
        (r#"{"model":"gpt-4"}"#, 404, unknown("The model `gpt-4` does not exist. Did you mean `gpt-4o`?")),
        (
            r#"{"model":"zzz"}"#,
            404,
            unknown("The model `zzz` does not exist. Use one of the names listed at /v1/models."),
        ),
        (
            r#"{"model":"gpt-4o","fallbacks":["zzz"]}"#,
            404,
            unknown("The model `zzz` does not exist. Use one of the names listed at /v1/models."),
        ),
    ];
    assert_all_refused(&stage, &rows).await;
}

#[tokio::test]
async fn what_is_authorized_is_what_is_sent_however_it_is_spelled() {
    let stage = Stage::with("").await;
    let twice = |field: &str| {
        let message = format!(
            "The field `{field}` is given more than once or in another spelling. Give it once, spelled exactly so; \
             `model` and `model_id` are the same field."
        );
        invalid("duplicate_field", field, &message)
    };
    let rows = [
        (r#"{"model":"gpt-4o","model":"gpt-4o"}"#, 400, twice("model")),
        (r#"{"model":"gpt-4o","Model":"o1"}"#, 400, twice("model")),
        (r#"{"MODEL":"gpt-4o"}"#, 400, twice("model")),
        (r#"{"model":"gpt-4o","mod\u0065l":"o1"}"#, 400, twice("model")),
        (r#"{"model":"gpt-4o","\u004dodel":"o1"}"#, 400, twice("model")),
        (r#"{"model":"gpt-4o","model_id":"gpt-4o"}"#, 400, twice("model_id")),
        (r#"{"model_id":"gpt-4o","model":"gpt-4o"}"#, 400, twice("model")),
        (r#"{"model":"gpt-4o","Model_ID":"o1"}"#, 400, twice("model_id")),
        (r#"{"model":"gpt-4o","stream":true,"stream":false}"#, 400, twice("stream")),
        ("{\"model\":\"gpt-4o\",\"\u{17f}tream\":true}", 400, twice("stream")),
        (r#"{"model":"gpt-4o","gateway":{},"gateway":{}}"#, 400, twice("gateway")),
        (r#"{"model":"gpt-4o","GateWay":{}}"#, 400, twice("gateway")),
        (r#"{"models":["gpt-4o"],"models":["gpt-4o"]}"#, 400, twice("models")),
        ("{\"model\":\"gpt-4o\",\"fallbac\u{212a}s\":[]}", 400, twice("fallbacks")),
    ];
    assert_all_refused(&stage, &rows).await;
}

const NAMES: &str = "expected an array of at most 16 model names, each a non-empty string of at most 256 bytes";
const COUNT: &str = "expected a whole number from 0 to 4294967295";
const MILLISECONDS: &str = "expected a whole number of milliseconds above 0";
const TAGS: &str = "expected an object of at most 16 strings, names and values of at most 256 bytes each";

#[tokio::test]
async fn members_for_the_gateway_have_to_be_right() {
    let stage = Stage::with("").await;
    let bad = |field: &str, problem: &str| {
        invalid(
            "invalid_gateway_field",
            field,
            &format!("The field `{field}` is not valid: {problem}. Correct it and send the request again."),
        )
    };
    let wrong = |field: &str, expected: &str| {
        invalid("", field, &format!("The field `{field}` is not valid. It must be {expected}."))
    };
    let many = format!(r#"{{"gateway":{{"models":[{}]}}}}"#, vec![r#""gpt-4o""#; 17].join(","));
    let tags: Vec<_> = (0..17).map(|index| format!(r#""t{index}":"v""#)).collect();
    let tags = format!(r#"{{"model":"gpt-4o","gateway":{{"tags":{{{}}}}}}}"#, tags.join(","));
    let rows = [
        (r#"{"model":"gpt-4o","gateway":[]}"#, 400, bad("gateway", "expected an object")),
        (r#"{"model":"gpt-4o","gateway":"x"}"#, 400, bad("gateway", "expected an object")),
        (
            r#"{"model":"gpt-4o","gateway":{"retries":1}}"#,
            400,
            bad(
                "gateway.retries",
                "it is unknown; known are models, max_retries, timeout_ms, first_token_timeout_ms, tags",
            ),
        ),
        (r#"{"model":"gpt-4o","gateway":{"models":"gpt-4o"}}"#, 400, bad("gateway.models", NAMES)),
        (r#"{"model":"gpt-4o","gateway":{"models":[1]}}"#, 400, bad("gateway.models", NAMES)),
        (&*many, 400, bad("gateway.models", NAMES)),
        (r#"{"model":"gpt-4o","gateway":{"max_retries":-1}}"#, 400, bad("gateway.max_retries", COUNT)),
        (r#"{"model":"gpt-4o","gateway":{"timeout_ms":0}}"#, 400, bad("gateway.timeout_ms", MILLISECONDS)),
        (r#"{"model":"gpt-4o","gateway":{"timeout_ms":1.5}}"#, 400, bad("gateway.timeout_ms", MILLISECONDS)),
        (
            r#"{"model":"gpt-4o","gateway":{"first_token_timeout_ms":"5"}}"#,
            400,
            bad("gateway.first_token_timeout_ms", MILLISECONDS),
        ),
        (r#"{"model":"gpt-4o","gateway":{"tags":{"a":1}}}"#, 400, bad("gateway.tags", TAGS)),
        (&*tags, 400, bad("gateway.tags", TAGS)),
        (
            r#"{"model":"gpt-4o","gateway":{"max_retries":1,"max_retries":2}}"#,
            400,
            bad("gateway.max_retries", "it is given more than once"),
        ),
        (r#"{"model":"gpt-4o","models":"gpt-4o"}"#, 400, wrong("models", NAMES.trim_start_matches("expected "))),
        (r#"{"model":"gpt-4o","fallbacks":[{}]}"#, 400, wrong("fallbacks", NAMES.trim_start_matches("expected "))),
        (r#"{"model":"gpt-4o","stream":"yes"}"#, 400, wrong("stream", "true or false")),
    ];
    assert_all_refused(&stage, &rows).await;
}

#[tokio::test]
async fn paths_methods_and_types_have_their_own_refusals() {
    let stage = Stage::with("server: { max_body: 1KiB }\n").await;
    let key = key_line();
    let chat = format!("POST {CHAT} HTTP/1.1");
    let nothing = "There is nothing at this path. Send calls to /v1/chat/completions or one of its siblings.";
    let method = |allow: &str| {
        invalid("method_not_allowed", "", &format!("This path does not take that method. Use one of {allow}."))
    };
    let media = |expected: &str| {
        invalid(
            "unsupported_media_type",
            "",
            &format!("The body's `content-type` is not one that this path takes. Send `{expected}`."),
        )
    };
    let large = || {
        invalid(
            "request_too_large",
            "",
            "The body is larger than the 1024 bytes that this gateway accepts. Send a smaller one.",
        )
    };
    let compressed = || {
        let message = "This gateway does not read compressed bodies. Send the body without `content-encoding`.";
        invalid("unsupported_media_type", "", message)
    };
    let json = "content-type: application/json";
    let form = "content-type: multipart/form-data; boundary=b";
    let length = "content-length: 18";
    let chunk = format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048));
    let rows: [(&[&str], &str, u16, String); 23] = [
        (&["GET /v1/chat/completions HTTP/1.1"], "", 405, method("POST")),
        (&["PUT /api/llm HTTP/1.1"], "", 405, method("POST")),
        (&["DELETE /v1/models HTTP/1.1"], "", 405, method("GET, HEAD")),
        (&["POST /health HTTP/1.1"], "", 405, method("GET, HEAD")),
        (&["GET / HTTP/1.1"], "", 404, invalid("not_found", "", nothing)),
        (&["GET /v1/ HTTP/1.1"], "", 404, invalid("not_found", "", nothing)),
        (&["POST /v1/chat/completions/ HTTP/1.1", length], CALL, 404, invalid("not_found", "", nothing)),
        (&["POST /v1//chat/completions HTTP/1.1", length], CALL, 404, invalid("not_found", "", nothing)),
        (&["POST /v1/chat%2fcompletions HTTP/1.1", length], CALL, 404, invalid("not_found", "", nothing)),
        (&["OPTIONS * HTTP/1.1"], "", 404, invalid("not_found", "", nothing)),
        (&["POST /v1/files HTTP/1.1", length], CALL, 404, invalid("not_found", "", nothing)),
        (&["POST /V1/chat/completions HTTP/1.1", length], CALL, 404, invalid("not_found", "", nothing)),
        (&[&chat, length, "content-type: text/plain"], CALL, 415, media("application/json")),
        (&[&chat, length, "content-type: multipart/form-data; boundary=b"], CALL, 415, media("application/json")),
        (&[&chat, length, json, "content-encoding: gzip"], CALL, 415, compressed()),
        (&[&chat, length, json, "content-encoding: br"], CALL, 415, compressed()),
        (&["POST /v1/audio/transcriptions HTTP/1.1", length, form, "content-encoding: gzip"], CALL, 415, compressed()),
        (&[&chat, length], CALL, 415, media("application/json")),
        (
            &["POST /v1/audio/transcriptions HTTP/1.1", length],
            CALL,
            415,
            media("multipart/form-data; boundary=\u{2026}"),
        ),
        (
            &["POST /v1/audio/transcriptions HTTP/1.1", length, json],
            CALL,
            415,
            media("multipart/form-data; boundary=\u{2026}"),
        ),
        (
            &["POST /v1/images/edits HTTP/1.1", length, "content-type: multipart/form-data"],
            CALL,
            415,
            media("multipart/form-data; boundary=\u{2026}"),
        ),
        (&[&chat, json, "content-length: 1025"], "", 413, large()),
        (&[&chat, json, "transfer-encoding: chunked"], &chunk, 413, large()),
    ];
    for (lines, body, status, expected) in rows {
        let row = format!("{lines:?}");
        let lines = [lines, &["host: gw", &*key]].concat();
        let reply = exchange(stage.gateway.address(), raw(&lines, body)).await;
        assert_refused(&row, &reply, status, &expected);
        let allow = if expected.contains("one of POST") { "post" } else { "get, head" };
        assert_eq!(reply.header("allow"), if status == 405 { allow } else { "" }, "{row}");
        assert_eq!(reply.header("connection"), if status == 413 { "close" } else { "" }, "{row}");
    }
    stage.assert_nothing_was_sent("any row");
    stage.assert_alive("any row").await;
}

#[tokio::test]
async fn heads_that_break_the_rules_end_their_connection() {
    let stage = Stage::with("").await;
    let key = key_line();
    let chat = format!("POST {CHAT} HTTP/1.1");
    let length = "content-length: 18";
    let many: Vec<String> = (0..101).map(|index| format!("x-{index}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = format!("x-long: {}", "y".repeat(65 * 1024));
    let bad = |problem: &str| {
        let message =
            format!("The request's head is not acceptable: {problem}. Correct it and send the request again.");
        invalid("", "", &message)
    };
    let large = || {
        invalid("headers_too_large", "", "The request's head is too large. Send at most 64 KiB and 100 header lines.")
    };
    let hosts = "the request's target and its `host` header name different hosts";
    let upgrade = "the gateway does not switch protocols; send no `upgrade` header";
    let rows: [(&[&str], u16, String); 8] = [
        (&["CONNECT gw:443 HTTP/1.1", "host: gw:443"], 400, bad(upgrade)),
        (&[&chat, length], 400, bad("the request has no `host` header")),
        (&[&chat, "host: a", "host: b", length], 400, bad("the request has more than one `host` header")),
        (&[&chat, "host: a", "host: a", length], 400, bad("the request has more than one `host` header")),
        (&["POST http://evil/v1/chat/completions HTTP/1.1", "host: gw", length], 400, bad(hosts)),
        (&[&chat, "host: gw", "upgrade: websocket", "connection: upgrade", length], 400, bad(upgrade)),
        (&[&[&*chat, "host: gw", length], &many[..]].concat(), 431, large()),
        (&[&chat, "host: gw", length, &long], 431, large()),
    ];
    for (lines, status, expected) in rows {
        let row = format!("{lines:.200?}");
        let mut wire = Wire::open(stage.gateway.address()).await;
        wire.write(raw(&[lines, &[&*key]].concat(), CALL)).await;
        let reply = wire.reply().await;
        assert_refused(&row, &reply, status, &expected);
        assert_eq!(reply.header("connection"), "close", "{row}");
        assert_eq!(wire.rest().await, "", "{row}");
    }
    stage.assert_nothing_was_sent("any row");
    stage.assert_alive("any row").await;
}

/// Found in the bytes themselves, before there is a request to answer: the status is all that the caller gets.
#[tokio::test]
async fn bytes_with_two_readings_never_become_a_request() {
    let stage = Stage::with("").await;
    let key = key_line();
    let chat = format!("POST {CHAT} HTTP/1.1");
    // A whole call in either reading, so that only a refusal of the head can be the answer.
    let chunked = format!("12\r\n{CALL}\r\n0\r\n\r\n");
    let rows: [(&[&str], &str); 9] = [
        (&[&chat, "host: gw", "content-length: 18", "transfer-encoding: chunked"], &chunked),
        (&[&chat, "host: gw", "transfer-encoding: chunked", "content-length: 18"], &chunked),
        (&[&chat, "host: gw", "content-length: 18", "content-length: 19"], CALL),
        (&[&chat, "host: gw", "content-length: 18", "content-length: 18"], CALL),
        (&[&chat, "host: gw", "content-length: +18"], CALL),
        (&[&chat, "host: gw", "transfer-encoding: gzip, chunked"], &chunked),
        (&[&chat, "host: gw", "transfer-encoding: chunked", "transfer-encoding: chunked"], &chunked),
        (&[&chat, "host: gw", "x-a: 1", " folded", "content-length: 18"], CALL),
        (&[&chat, "host: gw", "x-a: \u{1}", "content-length: 18"], CALL),
    ];
    for (lines, body) in rows {
        let row = format!("{lines:?}");
        let mut wire = Wire::open(stage.gateway.address()).await;
        let smuggled = format!("GET /v1/models HTTP/1.1\r\nhost: gw\r\n{key}\r\n\r\n");
        wire.write([raw(&[lines, &[&*key]].concat(), body), smuggled.into_bytes()].concat()).await;
        let reply = wire.reply().await;
        assert_eq!((reply.status, &*reply.body), (400, ""), "{row}");
        assert_eq!(wire.rest().await, "", "{row}");
    }
    stage.assert_nothing_was_sent("any row");
    stage.assert_alive("any row").await;
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let stage = Stage::with("server: { body_timeout: 100ms }\n").await;
    let whole = post(CALL);
    for missing in [1, CALL.len()] {
        let mut wire = Wire::open(stage.gateway.address()).await;
        wire.write(&whole[..whole.len() - missing]).await;
        let reply = wire.reply().await;
        let message =
            "The body did not arrive in time: this gateway waited 0.1 s. Send the request again, without delay.";
        assert_refused("stalled", &reply, 408, &invalid("request_timeout", "", message));
        assert_eq!(reply.header("connection"), "close");
    }
    stage.assert_nothing_was_sent("stalled");
    stage.assert_alive("stalled").await;
}

/// It never pauses for long enough to count as stalled.
#[tokio::test]
async fn a_body_that_trickles_is_given_up_too() {
    let stage = Stage::with("timeouts: { total: 500ms }\n").await;
    let mut wire = Wire::open(stage.gateway.address()).await;
    let head = post("x".repeat(10_000));
    wire.write(&head[..head.len() - 10_000]).await;
    let pause = Duration::from_millis(20);
    let trickled = async {
        while timeout(pause, wire.read_until(b"\r\n\r\n")).await.is_err() {
            wire.write(b" ").await;
        }
    };
    timeout(Duration::from_secs(20), trickled).await.expect("the body is read for ever");
    let reply = wire.reply().await;
    let message = "The body did not arrive in time: this gateway waited 0.5 s. Send the request again, without delay.";
    assert_refused("trickled", &reply, 408, &invalid("request_timeout", "", message));
    assert_eq!(reply.header("connection"), "close");
    stage.assert_nothing_was_sent("trickled");
    stage.assert_alive("trickled").await;
}

#[tokio::test]
async fn a_body_whose_framing_breaks_is_told_and_ends_the_connection() {
    let stage = Stage::with("").await;
    let (key, chat) = (key_line(), format!("POST {CHAT} HTTP/1.1"));
    let lines = [&*chat, "host: gw", &*key, "content-type: application/json", "transfer-encoding: chunked"];
    for body in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}x\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n"] {
        let mut wire = Wire::open(stage.gateway.address()).await;
        wire.write(raw(&lines, body)).await;
        let reply = wire.reply().await;
        assert_refused(
            body,
            &reply,
            400,
            &invalid(
                "",
                "",
                "The body broke off before it was complete. Check its framing and send the request again.",
            ),
        );
        assert_eq!((reply.header("connection"), &*wire.rest().await), ("close", ""), "{body}");
    }
    stage.assert_nothing_was_sent("broken framing");
}

#[tokio::test]
async fn a_call_that_comes_round_in_a_circle_is_stopped() {
    let stage = Stage::with("").await;
    let (_, received) = stage.exchange(authorized("POST", CHAT, CALL), Script::json(200, "{}")).await;
    let via = received.header("via").unwrap();
    for seen in [via.to_owned(), format!("1.1 proxy, {via}, 1.0 other")] {
        let answer = stage.send(with_header(authorized("POST", CHAT, CALL), "via", &seen)).await;
        assert_eq!(answer.status, 508);
        let message = "The request has passed this gateway before: one of its upstreams leads back to it. Tell this \
                       gateway's administrator.";
        assert_eq!(answer.text(), invalid("loop_detected", "", message));
    }
    assert_eq!(stage.upstream.requests().len(), 1);
    let asked = with_header(authorized("POST", CHAT, CALL), "via", "1.1 proxy");
    let (_, received) = stage.exchange(asked, Script::json(200, "{}")).await;
    assert_eq!(received.header("via"), Some(&*format!("1.1 proxy, {via}")), "another proxy is no circle");
}

#[tokio::test]
async fn depth_that_nobody_interprets_is_no_danger() {
    let stage = Stage::with("").await;
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"deep":{open}{close},"model":"gpt-4o"}}"#);
    let (answer, received) = stage.exchange(authorized("POST", CHAT, body.clone()), Script::json(200, "{}")).await;
    assert_eq!(answer.status, 200);
    assert!(received.body == body.replace("gpt-4o", "gpt-4o-2024"));
    let unclosed = stage.post(CHAT, format!(r#"{{"deep":{open}"#)).await;
    assert_eq!((unclosed.status.as_u16(), &*unclosed.error_code()), (400, "invalid_json"));
    stage.assert_alive("depth").await;
}
