//! Upstreams that fail a call of one attempt: what the caller is told, what the trail says, and what is logged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gateway_testing::{Answer, Script};
use gateway_tests::deaf::DeafAddress;
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, ONE_ATTEMPT, Stage, answer_with, authorized, with_header};
use gateway_tests::wire::Wire;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// What a caller has to be told of a failed attempt.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    status: u16,
    kind: &'static str,
    code: &'static str,
    outcome: &'static str,
    message: &'static str,
}

const fn bad_gateway(code: &'static str, outcome: &'static str, message: &'static str) -> Verdict {
    Verdict { status: 502, kind: "upstream_error", code, outcome, message }
}

const fn timed_out(code: &'static str, message: &'static str) -> Verdict {
    Verdict { status: 504, kind: "timeout_error", code, outcome: code, message }
}

const CREDENTIALS: Verdict = bad_gateway(
    "upstream_credentials_rejected",
    "credentials_rejected",
    "The upstream rejected this gateway's own credentials. Tell this gateway's administrator.",
);
const MODEL_MISSING: Verdict = bad_gateway(
    "upstream_error",
    "model_missing",
    "The upstream does not know the model. Tell this gateway's administrator.",
);
const RATE_LIMITED: Verdict =
    bad_gateway("upstream_error", "rate_limited", "The upstream limits this gateway's rate. Try again later.");
const OVERLOADED: Verdict = bad_gateway("upstream_error", "overloaded", "The upstream is overloaded. Try again later.");
const SERVER_ERROR: Verdict = bad_gateway("upstream_error", "server_error", "The upstream failed. Try again later.");
const INVALID: Verdict = bad_gateway(
    "upstream_invalid_response",
    "invalid_response",
    "The upstream's answer is not what its protocol promises. Tell this gateway's administrator if that persists.",
);
const TRANSPORT: Verdict =
    bad_gateway("upstream_error", "transport", "The connection to the upstream failed. Try again later.");
const TRUNCATED: Verdict =
    bad_gateway("upstream_truncated", "truncated", "The upstream's answer ended before it was complete. Try again.");
const HEADERS: Verdict = timed_out("headers_timeout", "The upstream did not begin to answer in time. Try again later.");
const IDLE: Verdict =
    timed_out("idle_timeout", "The upstream stopped sending before its answer was complete. Try again.");
const TOTAL: Verdict =
    timed_out("total_timeout", "The call took longer than it may. Try again later, or ask for a shorter answer.");
const CONNECT: Verdict = timed_out("connect_timeout", "The upstream could not be reached in time. Try again later.");

/// Checks the whole of a failed call: head, body and the line in the access log.
fn assert_failed(row: &str, stage: &Stage, answer: &Answer, verdict: Verdict, upstream_status: Option<u16>) {
    let Verdict { status, kind, code, outcome, message } = verdict;
    let request_id = answer.header("x-request-id");
    let mut body = answer.json();
    assert!(body["gateway"]["attempts"][0]["ms"].take().is_u64(), "{row}: {}", answer.text());
    let attempt = serde_json::json!({
        "model": "gpt-4o", "provider": "main", "outcome": outcome, "status": upstream_status, "ms": null,
    });
    let expected = serde_json::json!({
        "error": { "message": message, "type": kind, "param": null, "code": code },
        "gateway": { "attempts": [attempt], "request_id": request_id },
    });
    assert_eq!((answer.status.as_u16(), body), (status, expected), "{row}");
    for (name, value) in
        [("content-type", "application/json"), ("x-should-retry", "false"), ("x-gateway-attempts", "1")]
    {
        assert_eq!(answer.header(name), value, "{row}");
    }
    let line = stage.access_line(request_id);
    let status_text = upstream_status.map(|status| format!(":{status}")).unwrap_or_default();
    for (field, expected) in [
        ("status", serde_json::json!(status)),
        ("error", serde_json::json!(code)),
        ("provider", serde_json::json!("main")),
        ("model", serde_json::json!("gpt-4o")),
        ("attempts", serde_json::json!(format!("main/gpt-4o-2024:{outcome}{status_text}"))),
        ("bytes", serde_json::json!(answer.body.len())),
    ] {
        assert_eq!(line[field], expected, "{row}: {field} in {line}");
    }
}

async fn ask(stage: &Stage, row: &str, body: &str) -> Answer {
    stage.send(with_header(authorized("POST", CHAT, body.to_owned()), "x-request-id", &row.replace(' ', "-"))).await
}

#[tokio::test]
async fn every_refusal_of_an_upstream_has_its_verdict() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    for (status, verdict) in [
        (204, INVALID),
        (401, CREDENTIALS),
        (402, CREDENTIALS),
        (403, CREDENTIALS),
        (404, MODEL_MISSING),
        (408, SERVER_ERROR),
        (429, RATE_LIMITED),
        (500, SERVER_ERROR),
        (501, SERVER_ERROR),
        (502, SERVER_ERROR),
        (503, OVERLOADED),
        (504, SERVER_ERROR),
        (529, OVERLOADED),
        (301, INVALID),
        (302, INVALID),
        (307, INVALID),
        (304, INVALID),
    ] {
        let row = format!("status {status}");
        let headers = [("content-type", "application/json"), ("location", "http://127.0.0.1:1/")];
        stage.upstream.push(answer_with(status, &headers, r#"{"error":{"message":"private words"}}"#));
        let answer = ask(&stage, &row, CALL).await;
        assert_failed(&row, &stage, &answer, verdict, Some(status));
        assert_eq!(answer.header("retry-after"), "", "{row}");
        assert_eq!(answer.header("location"), "", "{row}");
    }
    assert_eq!(stage.upstream.requests().len(), 17, "nothing is asked twice and no redirect is followed");
}

#[tokio::test]
async fn what_the_upstream_says_of_waiting_is_passed_on() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    for (status, name, value, expected) in [
        (429, "retry-after", "7", "7"),
        (503, "retry-after", "12", "12"),
        (529, "retry-after-ms", "1500", "2"),
        (500, "retry-after", "7", ""),
        (429, "retry-after", "soon", ""),
    ] {
        stage.upstream.push(answer_with(status, &[(name, value)], "{}"));
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (502, expected), "{status} {name}: {value}");
    }
}

#[tokio::test]
async fn faults_of_the_request_pass_through_as_they_are() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    for status in [400, 405, 409, 413, 415, 418, 422, 451] {
        let row = format!("fault {status}");
        let body = format!("{{\"error\":{{\"message\":\"gpt-4o-2024 says {status}\",\"code\" : \"its own\"}}}}\n");
        let headers = [("content-type", "application/problem+json"), ("x-detail", "1"), ("set-cookie", "a=b")];
        stage.upstream.push(answer_with(status, &headers, &body));
        let answer = ask(&stage, &row, CALL).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, body), "{row}");
        for (name, value) in [
            ("content-type", "application/problem+json"),
            ("x-detail", "1"),
            ("set-cookie", ""),
            ("x-should-retry", ""),
            ("x-gateway-provider", "main"),
            ("x-gateway-attempts", "1"),
        ] {
            assert_eq!(answer.header(name), value, "{row}: {name}");
        }
        let line = stage.access_line(&row.replace(' ', "-"));
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["attempts"], format!("main/gpt-4o-2024:client_fault:{status}"));
    }
}

#[tokio::test]
async fn a_success_that_is_none_counts_as_what_it_says() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    for (body, verdict) in [
        (r#"{"error":{"message":"private words"}}"#, SERVER_ERROR),
        (r#"{"error":{"message":"x","code":"rate_limited"}}"#, SERVER_ERROR),
        (r#"{"error":"private words"}"#, SERVER_ERROR),
        (r#"{"id":"x","error":{"message":"x","code":429}}"#, RATE_LIMITED),
        (r#"{"error":{"message":"x","code":401}}"#, CREDENTIALS),
        (r#"{"error":{"message":"x","code":404}}"#, MODEL_MISSING),
        (r#"{"error":{"message":"x","status":529}}"#, OVERLOADED),
        (r#"{"error":{"message":"x","code":"503"}}"#, OVERLOADED),
        ("<html>private words</html>", INVALID),
        ("", INVALID),
        (r#"{"model":"x""#, INVALID),
        (r#"{"model":"x"}{}"#, INVALID),
    ] {
        stage.upstream.push(Script::json(200, body));
        let answer = stage.post(CHAT, CALL).await;
        assert_failed(body, &stage, &answer, verdict, Some(200));
    }
    let body = r#"{"error":{"message":"too long","code":400}}"#;
    stage.upstream.push(Script::json(200, body));
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!((answer.status.as_u16(), &*answer.text()), (400, body), "the caller's own fault");
}

#[tokio::test]
async fn broken_connections_have_their_verdicts() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let part = format!("{head}content-length: 100\r\n\r\n{{\"model\":");
    let chunked = Script::new().write(format!("{head}transfer-encoding: chunked\r\n\r\n"));
    for (row, script, verdict, status) in [
        ("closed", Script::new().close(), TRANSPORT, None),
        ("reset", Script::new().reset(), TRANSPORT, None),
        ("reset before the body was read", Script::after_head().reset(), TRANSPORT, None),
        ("half a head", Script::new().write("HTTP/1.1 200 OK\r\ncontent-le").close(), TRANSPORT, None),
        ("no HTTP", Script::new().write("SSH-2.0-OpenSSH_9.6\r\n\r\n").close(), INVALID, None),
        ("cut in a body with a length", Script::new().write(part.clone()).close(), TRUNCATED, Some(200)),
        ("reset in a body with a length", Script::new().write(part).reset(), TRUNCATED, Some(200)),
        ("cut between chunks", chunked.clone().chunk("{\"model\":").close(), TRUNCATED, Some(200)),
        ("cut in a chunk", chunked.clone().write("9\r\n{\"mo").close(), TRUNCATED, Some(200)),
        ("a chunk without a size", chunked.write("zz\r\n{}\r\n").close(), INVALID, Some(200)),
    ] {
        stage.upstream.push(script);
        let answer = ask(&stage, row, CALL).await;
        assert_failed(row, &stage, &answer, verdict, status);
    }
    stage.upstream.push(Script::json(200, "{}"));
    assert_eq!(stage.post(CHAT, CALL).await.status, 200, "and afterwards all is well");
}

#[tokio::test]
async fn what_cannot_be_decoded_is_no_answer() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    // A coding that is not known is refused with the head, before there is an answer to speak of.
    for (coding, status) in
        [("compress", None), ("gzip, gzip", None), ("gzip", Some(200)), ("br", Some(200)), ("zstd", Some(200))]
    {
        stage.upstream.push(answer_with(200, &[("content-encoding", coding)], "{}"));
        let answer = stage.post(CHAT, CALL).await;
        assert_failed(coding, &stage, &answer, INVALID, status);
    }
}

/// What is passed on as it arrives has been begun already: the caller can only be cut off, too.
#[tokio::test]
async fn an_answer_that_breaks_off_while_it_is_passed_on_breaks_off_for_the_caller() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\n";
    stage.upstream.push(Script::new().write(format!("{head}half of it")).close());
    let mut wire = Wire::open(stage.gateway.address()).await;
    let asked = format!(
        "POST /v1/audio/speech HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\nx-request-id: cut-1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{CALL}",
        CALL.len()
    );
    wire.write(asked).await;
    wire.read_until(b"content-length: 100\r\n").await;
    assert!(wire.rest().await.ends_with("\r\n\r\nhalf of it"));
    let line = stage.access_line("cut-1");
    assert_eq!(line["error"], "upstream_truncated", "{line}");
    assert_eq!(line["attempts"], "main/gpt-4o-2024:truncated:200", "{line}");
}

#[tokio::test]
async fn every_wait_has_an_end() {
    let silent = || Script::new().stall();
    let stalled = || {
        Script::new().write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{").stall()
    };
    let asked = r#"{"model":"gpt-4o","gateway":{"timeout_ms":100}}"#;
    let loosened = r#"{"model":"gpt-4o","gateway":{"timeout_ms":60000}}"#;
    let of_model = "models:\n  gpt-4o: { timeouts: { headers: 100ms } }\n";
    for (row, sections, script, body, verdict, status) in [
        ("headers", "timeouts: { headers: 100ms }\n", silent(), CALL, HEADERS, None),
        ("headers of the model", of_model, silent(), CALL, HEADERS, None),
        ("idle", "timeouts: { idle: 100ms }\n", stalled(), CALL, IDLE, Some(200)),
        ("total", "timeouts: { total: 100ms }\n", silent(), CALL, TOTAL, None),
        ("total in a body", "timeouts: { total: 100ms }\n", stalled(), CALL, TOTAL, Some(200)),
        ("the caller's own", "", silent(), asked, TOTAL, None),
        ("the caller's own in a body", "", stalled(), asked, TOTAL, Some(200)),
        ("no loosening", "timeouts: { total: 100ms }\n", silent(), loosened, TOTAL, None),
    ] {
        let stage = Stage::with(&[sections, ONE_ATTEMPT].concat()).await;
        stage.upstream.push(script);
        let answer = ask(&stage, &row.replace('\'', ""), body).await;
        assert_failed(row, &stage, &answer, verdict, status);
        stage.upstream.connection_closed(0).await;
    }
}

fn provider_at(address: SocketAddr, more: &str) -> String {
    format!(
        "providers: [ {{ name: main, api_base: \"http://{address}/v1\", model_mapping: {{ gpt-4o: gpt-4o-2024 }} }} ]\n\
         auth: none\n{ONE_ATTEMPT}{more}"
    )
}

#[tokio::test]
async fn nobody_listening_is_a_failed_connection() {
    let deaf = DeafAddress::hold();
    let stage = Stage::of(&provider_at(deaf.address(), "")).await;
    let answer = ask(&stage, "refused", CALL).await;
    assert_failed("refused", &stage, &answer, TRANSPORT, None);
    assert!(!answer.text().contains(&deaf.address().port().to_string()), "{}", answer.text());
}

/// A listener that never accepts, with connections waiting until the system takes no more: the next one hangs.
async fn unreachable() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    (listener, waiting, address)
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_given_up() {
    let (_listener, _waiting, address) = unreachable().await;
    for (row, timeouts, verdict) in
        [("connect", "timeouts: { connect: 100ms }\n", CONNECT), ("total", "timeouts: { total: 100ms }\n", TOTAL)]
    {
        let stage = Stage::of(&provider_at(address, timeouts)).await;
        let answer = ask(&stage, row, CALL).await;
        assert_failed(row, &stage, &answer, verdict, None);
    }
}
