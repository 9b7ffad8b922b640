//! Paths below `/v1/` that the gateway does not know, passed on as they are to the provider that the configuration names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gateway_testing::{Gate, Script, client};
use gateway_tests::refusal::{invalid, refusal};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, PROVIDER_KEY, Stage, answer_with, authorized, with_header};
use gateway_tests::wire::{Wire, exchange};

const ON: &str = "passthrough: main\n  ";

/// A key that is limited to certain models, besides the one that is not.
const NARROW: &str = "  - { name: narrow, key: sk-narrow-000001, allowed_models: [\"gpt-*\"] }\npassthrough: main\n";

#[tokio::test]
async fn any_method_path_query_and_body_arrives_as_it_was_sent() {
    let stage = Stage::with(ON).await;
    for (method, path, body) in [
        ("GET", "/v1/files", ""),
        ("GET", "/v1/files?limit=2&after=a%2Fb&order=desc", ""),
        ("POST", "/v1/batches", "{ \"model\" : \"unknown\", \"model\":1, not json"),
        ("DELETE", "/v1/files/file-1", ""),
        ("PUT", "/v1/things/caf%C3%A9", "x"),
        ("PATCH", "/v1/things/a.b/..c", "\u{0}binary\u{ff}"),
        ("HEAD", "/v1/files/file-1", ""),
        ("OPTIONS", "/v1/files", ""),
        ("QUERY", "/v1/files", "?"),
        ("GET", "/v1/responses/resp_1", ""),
        ("GET", "/v1/chat/completions", ""),
        ("DELETE", "/v1/models/ft-1", ""),
    ] {
        let row = format!("{method} {path}");
        let answer_body = if method == "HEAD" { "" } else { "{\"model\" : \"as it is\"}\n" };
        let asked = with_header(authorized(method, path, body), "accept", "application/x-special");
        let asked = with_header(with_header(asked, "openai-beta", "v2"), "x-other", "1");
        let script = answer_with(201, &[("content-type", "text/x-special"), ("server", "s")], answer_body);
        let (answer, received) = stage.exchange(asked, script).await;
        assert_eq!((received.method(), received.target()), (method, path), "{row}");
        assert_eq!(received.body, body, "{row}");
        for (name, value) in [
            ("authorization", Some(&*format!("Bearer {PROVIDER_KEY}"))),
            ("accept", Some("application/x-special")),
            ("content-type", (!body.is_empty()).then_some("application/json")),
            ("openai-beta", Some("v2")),
            ("x-other", None),
        ] {
            assert_eq!(received.header(name), value, "{row}: {name}");
        }
        assert_eq!((answer.status.as_u16(), &*answer.text()), (201, answer_body), "{row}");
        assert_eq!(answer.header("content-type"), "text/x-special", "{row}");
        assert_eq!(answer.header("server"), "", "{row}");
        assert_eq!(answer.header("x-gateway-provider"), "main", "{row}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let stage = Stage::with(ON).await;
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    stage.upstream.push(Script::after_head().write(head).chunk("first,").wait(&gate).chunk("second").end_chunks());
    let mut wire = Wire::open(stage.gateway.address()).await;
    let asked = format!(
        "POST /v1/files HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\ncontent-type: a/b\r\ncontent-length: 6\r\n\r\nabc"
    );
    wire.write(asked).await;
    let received = stage.upstream.request(0).await;
    assert_eq!(received.header("content-length"), Some("6"), "sent on before the caller was done");
    wire.read_until(b"first,").await;
    wire.write("def").await;
    gate.open();
    wire.read_until(b"second").await;
    wire.read_until(b"0\r\n\r\n").await;
}

#[tokio::test]
async fn a_chunked_upload_arrives_whole() {
    let stage = Stage::with(ON).await;
    stage.upstream.push(Script::json(200, "[]"));
    let asked = format!(
        "PUT /v1/blobs/1 HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nx-trailer: 1\r\n\r\n"
    );
    let reply = exchange(stage.gateway.address(), asked).await;
    assert_eq!((reply.status, &*reply.body), (200, "[]"));
    let received = stage.upstream.request(0).await;
    assert_eq!(received.body, "abcdef");
    assert!(!String::from_utf8_lossy(&received.head).contains("x-trailer"));
}

#[tokio::test]
async fn paths_that_servers_read_in_different_ways_are_refused() {
    let stage = Stage::with(ON).await;
    let path = "the path has dot segments, empty segments, or encoded slashes, backslashes or control characters";
    let query = "the query holds a key; send it in the `authorization` header";
    for (target, message) in [
        ("/v1/files/../admin", path),
        ("/v1/./files", path),
        ("/v1/..", path),
        ("/v1/%2e%2e/admin", path),
        ("/v1/%2E./admin", path),
        ("/v1//files", path),
        ("/v1/files/", path),
        ("/v1/a%2fb", path),
        ("/v1/a%5Cb", path),
        ("/v1/a%00b", path),
        ("/v1/a%0d%0ab", path),
        ("/v1/a%7f", path),
        ("/v1/files?key=sk", query),
        ("/v1/files?a=1&API_KEY=sk", query),
        ("/v1/files?%6bey=sk", query),
        ("/v1/files?access_token=sk", query),
    ] {
        let asked = format!("GET {target} HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\n\r\n");
        let reply = exchange(stage.gateway.address(), asked).await;
        let problem =
            format!("The request's head is not acceptable: {message}. Correct it and send the request again.");
        let expected = invalid("", "", &problem);
        assert_eq!((reply.status, reply.body), (400, expected), "{target}");
    }
    for target in ["/v1\\files", "/v1/a\\b"] {
        let asked = format!("GET {target} HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\n\r\n");
        let status = exchange(stage.gateway.address(), asked).await.status;
        assert!([400, 404].contains(&status), "{target}: {status}");
    }
    stage.assert_nothing_was_sent("any path");
    stage.assert_alive("any path").await;
}

#[tokio::test]
async fn only_keys_without_limits_may_use_what_the_gateway_does_not_see_into() {
    let stage = Stage::with(NARROW).await;
    let narrow = with_header(client::request("GET", "/v1/files", ""), "x-api-key", "sk-narrow-000001");
    let answer = stage.send(narrow).await;
    let message = "The API key is limited to certain models, tokens or money, so it may use only paths that this gateway knows. Ask \
                   this gateway's administrator for a key without such limits.";
    let expected = refusal("permission_error", "model_not_allowed", "", message);
    assert_eq!((answer.status.as_u16(), answer.text()), (403, expected));
    let nobody = stage.send(client::request("GET", "/v1/files", "")).await;
    assert_eq!((nobody.status.as_u16(), &*nobody.error_code()), (401, "missing_api_key"));
    stage.assert_nothing_was_sent("without the right");
}

#[tokio::test]
async fn without_it_unknown_paths_do_not_exist() {
    let stage = Stage::with("").await;
    for (method, path) in [("GET", "/v1/files"), ("POST", "/v1/batches"), ("DELETE", "/v1/x/y/z")] {
        let answer = stage.send(authorized(method, path, "")).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (404, "not_found"), "{method} {path}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
    stage.assert_nothing_was_sent("unknown");
}

#[tokio::test]
async fn known_paths_are_served_as_always_and_others_stay_unknown() {
    let stage = Stage::with(ON).await;
    let (answer, received) = stage.exchange(authorized("POST", CHAT, CALL), Script::json(200, "{}")).await;
    assert_eq!(received.body, r#"{"model":"gpt-4o-2024"}"#);
    assert_eq!(answer.json()["gateway"]["model"], "gpt-4o");
    assert_eq!(stage.send(authorized("GET", "/v1/models", "")).await.json()["data"][0]["id"], "gpt-4o");
    for (path, status) in [("/admin", 403), ("/administration", 404), ("/", 404), ("/v2/files", 404), ("/api/llm", 405)]
    {
        assert_eq!(stage.send(authorized("GET", path, "")).await.status, status, "{path}");
    }
    assert_eq!(stage.upstream.requests().len(), 1);
}

#[tokio::test]
async fn failures_are_the_callers_to_see_except_that_of_the_gateways_key() {
    let stage = Stage::with(ON).await;
    for status in [400, 404, 409, 429, 500, 503] {
        let body = format!("{{\"error\" : {status}}}\n");
        let script = answer_with(status, &[("content-type", "application/json"), ("retry-after", "3")], &body);
        let asked = with_header(authorized("GET", "/v1/files", ""), "x-request-id", &format!("pass-{status}"));
        let (answer, _) = stage.exchange(asked, script).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, body));
        assert_eq!(answer.header("retry-after"), "3", "{status}");
        let line = stage.access_line(&format!("pass-{status}"));
        assert_eq!((&line["endpoint"], &line["status"]), (&"/v1/*".into(), &status.into()), "{line}");
    }
    for status in [401, 402, 403] {
        stage.upstream.push(Script::json(status, r#"{"error":"private words"}"#));
        let answer = stage.send(authorized("GET", "/v1/files", "")).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_credentials_rejected"), "{status}");
        assert!(!answer.text().contains("private"));
    }
    stage.upstream.push(Script::new().close());
    let answer = stage.send(authorized("GET", "/v1/files", "")).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_error"));
}

/// The caller could not follow it, and would learn where the provider is.
#[tokio::test]
async fn a_redirect_is_no_answer() {
    let stage = Stage::with(ON).await;
    for status in [301, 302, 303, 307, 308] {
        let headers = [("content-type", "text/html"), ("location", "https://inside.example.com/private")];
        let script = answer_with(status, &headers, "see private");
        let (answer, _) = stage.exchange(authorized("GET", "/v1/files", ""), script).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_invalid_response"), "{status}");
        assert_eq!(answer.header("location"), "", "{status}");
        assert!(!answer.text().contains("private"), "{status}: {}", answer.text());
    }
    assert_eq!(stage.upstream.requests().len(), 5, "no redirect is followed");
}

#[tokio::test]
async fn limits_hold_for_what_passes_through() {
    let stage = Stage::with("passthrough: main\nserver: { max_body: 1KiB, body_timeout: 100ms }\n").await;
    let large = stage.send(authorized("POST", "/v1/files", "x".repeat(1025))).await;
    assert_eq!((large.status.as_u16(), &*large.error_code()), (413, "request_too_large"));
    assert_eq!(stage.upstream.connections(), 0);
    let head = format!("POST /v1/files HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\n");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048));
    assert_eq!(exchange(stage.gateway.address(), chunked).await.status, 413);
    let stalled = exchange(stage.gateway.address(), format!("{head}content-length: 9\r\n\r\nabc")).await;
    assert_eq!(stalled.status, 408, "{}", stalled.body);
    stage.upstream.connection_closed(0).await;
    stage.upstream.connection_closed(1).await;
    stage.assert_nothing_was_sent("too much or too little");
}
