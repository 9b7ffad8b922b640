//! Uploads: the model part is read and rewritten, everything else streams through as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use gateway_testing::Script;
use gateway_tests::form::{BOUNDARY, Form};
use gateway_tests::stage::{CALLER_KEY, Stage, authorized};
use gateway_tests::wire::Wire;
use http::{Request, header};
use http_body_util::Full;

const PATH: &str = "/v1/audio/transcriptions";

fn upload(path: &str, form: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = authorized("POST", path, form);
    request.headers_mut().insert(header::CONTENT_TYPE, content_type().parse().unwrap());
    request
}

fn content_type() -> String {
    format!("multipart/form-data; boundary=\"{BOUNDARY}\"")
}

/// All of a boundary but its last two characters.
const LOOKALIKE: &[u8] = b"\r\n------form-7f3a9b20\r\n";

/// Bytes with every value, line ends and hyphens among them, and now and then something like a boundary.
fn audio(size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
    for at in (0..size.saturating_sub(64)).step_by(9973) {
        bytes[at..at + LOOKALIKE.len()].copy_from_slice(LOOKALIKE);
    }
    bytes
}

fn replaced(form: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = form.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    [&form[..at], to.as_bytes(), &form[at + from.len()..]].concat()
}

#[tokio::test]
async fn only_the_model_part_is_changed_wherever_it_stands() {
    let stage = Stage::with("").await;
    let file = audio(100_000);
    let model = "\r\n\r\ngpt-4o\r\n";
    let filled = "\r\n\r\ngpt-4o-2024\r\n";
    let odd = "content-disposition: form-data;name=model\r\nx-odd: 1";
    for (row, form) in [
        ("first", Form::new().field("model", "gpt-4o").file("file", &file).end()),
        ("last", Form::new().field("language", "de").file("file", &file).field("model", "gpt-4o").end()),
        ("only", Form::new().field("model", "gpt-4o").end()),
        ("odd headers", Form::new().part(odd, b"gpt-4o").file("file", &file).end()),
        ("with stream", Form::new().field("stream", "false").field("model", "gpt-4o").end()),
        ("epilogue", [Form::new().field("model", "gpt-4o").end(), b"\r\n".to_vec()].concat()),
    ] {
        for path in [PATH, "/v1/audio/translations", "/v1/images/edits", "/v1/images/variations"] {
            let (answer, received) = stage.exchange(upload(path, form.clone()), Script::json(200, "{}")).await;
            assert_eq!(answer.status, 200, "{row}: {}", answer.text());
            assert_eq!((received.method(), received.target()), ("POST", path), "{row}");
            assert!(received.body == replaced(&form, model, filled), "{row}");
            assert_eq!(received.header("content-length"), Some(&*received.body.len().to_string()), "{row}");
            assert_eq!(received.header("content-type"), Some(&*content_type()), "{row}");
            assert_eq!(received.headers().filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).count(), 1);
        }
    }
}

#[tokio::test]
async fn model_id_is_a_model_by_another_name() {
    let stage = Stage::with("").await;
    let form = Form::new().field("language", "de").field("model_id", "gpt-4o").file("file", b"x").end();
    let (answer, received) = stage.exchange(upload(PATH, form), Script::json(200, r#"{"text":"hi"}"#)).await;
    let expected = Form::new().field("language", "de").field("model", "gpt-4o-2024").file("file", b"x").end();
    assert_eq!(received.body, expected);
    assert!(answer.text().starts_with(r#"{"text":"hi","gateway":{"model":"gpt-4o","#), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_passes_whole() {
    let stage = Stage::with("").await;
    let file = audio(5 << 20);
    for form in [
        Form::new().field("model", "gpt-4o").file("file", &file).end(),
        Form::new().file("file", &file).field("model", "gpt-4o").end(),
    ] {
        let (answer, received) = stage.exchange(upload(PATH, form.clone()), Script::json(200, "{}")).await;
        assert_eq!(answer.status, 200);
        assert!(received.body == replaced(&form, "\r\ngpt-4o\r\n", "\r\ngpt-4o-2024\r\n"));
        assert_eq!(received.header("content-length"), Some(&*received.body.len().to_string()));
    }
}

#[tokio::test]
async fn the_upload_reaches_the_upstream_while_the_caller_still_sends_it() {
    let stage = Stage::with("").await;
    stage.upstream.push(Script::after_head().answer(200, "text/plain", "spoken words").stall());
    let form = Form::new().field("model", "gpt-4o").file("file", &audio(1000)).end();
    let (first, rest) = form.split_at(form.len() - 500);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        content_type()
    );
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write([head.as_bytes(), format!("{:x}\r\n", first.len()).as_bytes(), first, b"\r\n"].concat()).await;
    let received = stage.upstream.request(0).await;
    assert_eq!(received.header("transfer-encoding"), Some("chunked"));
    assert_eq!(received.header("content-length"), None);
    wire.write([format!("{:x}\r\n", rest.len()).as_bytes(), rest, b"\r\n0\r\n\r\n"].concat()).await;
    let reply = wire.reply().await;
    assert_eq!((reply.status, &*reply.body), (200, "spoken words"), "text passes where text may be asked for");
    assert_eq!(reply.header("x-gateway-model"), "gpt-4o");
}

#[tokio::test]
async fn an_upstream_may_refuse_before_it_has_read_everything() {
    let stage = Stage::with("").await;
    let body = r#"{"error":{"message":"too long"}}"#;
    stage.upstream.push(Script::after_head().answer(413, "application/json", body).stall());
    let form = Form::new().field("model", "gpt-4o").file("file", &audio(3 << 20)).end();
    let answer = stage.send(upload(PATH, form)).await;
    assert_eq!((answer.status.as_u16(), &*answer.text()), (413, body));
}

/// Nobody is there to be told, so the log is all that can be looked at. It says what a caller would have been told that
/// only closed its sending side, which looks the same.
#[tokio::test]
async fn a_caller_that_leaves_while_sending_leaves_no_whole_request_behind() {
    let stage = Stage::with("").await;
    let form = Form::new().field("model", "gpt-4o").file("file", &audio(100_000)).end();
    let begun = |path: &str, id: &str, kind: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\nx-request-id: {id}\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write([begun(PATH, "left-1", &content_type(), form.len()).as_bytes(), &form[..90_000]].concat()).await;
    stage.upstream.accepted(1).await;
    drop(wire);
    stage.upstream.connection_closed(0).await;
    let line = stage.access_line("left-1");
    assert_eq!((&line["status"], &line["attempts"]), (&400.into(), &"main/gpt-4o-2024:cancelled".into()), "{line}");

    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write(begun("/v1/chat/completions", "left-2", "application/json", 100) + "{\"model\":").await;
    drop(wire);
    let line = stage.access_line("left-2");
    assert_eq!((&line["status"], &line["attempts"]), (&400.into(), &"".into()), "{line}");
    assert!(stage.upstream.requests().is_empty());
}

/// The close can overtake the upload; what was answered before it still counts. Ten times, because it is a race.
#[tokio::test]
async fn a_refusal_outlives_the_close_that_follows_it() {
    let stage = Stage::with("").await;
    let form = Form::new().field("model", "gpt-4o").file("file", &audio(3 << 20)).end();
    let body = r#"{"error":{"message":"too long"}}"#;
    let mut answers = Vec::new();
    for _ in 0..10 {
        stage.upstream.push(Script::after_head().answer(413, "application/json", body).close());
        answers.push(stage.send(upload(PATH, form.clone())).await.status.as_u16());
    }
    assert_eq!(answers, [413; 10]);
}

/// The message and the code of each refusal; what is refused in time reaches no upstream.
#[tokio::test]
async fn forms_that_cannot_be_served_are_refused() {
    let stage = Stage::with("").await;
    let plain = || Form::new().field("model", "gpt-4o");
    let twice = "The part `model` is given more than once or in another spelling. Give it once, spelled exactly so; \
                 `model` and `model_id` are the same part.";
    let missing = "The request names no model. Add a `model` part with one of the names listed at /v1/models.";
    let value =
        "The part `model` is not valid. It must be a non-empty text of at most 256 bytes without control characters.";
    let file = "The part `model` is not valid. It must be a plain value, without a file name or a transfer encoding.";
    let cut =
        "The multipart body is malformed: it ends before its last boundary. Correct it and send the request again.";
    let wrong_boundary = "The multipart body is malformed: it does not start with the boundary that its content type \
                          names. Correct it and send the request again.";
    for (row, form, status, code, message) in [
        ("no model", Form::new().field("language", "de").end(), 400, "missing_model", missing),
        ("no parts", Form::new().end(), 400, "missing_model", missing),
        ("case", Form::new().field("Model", "gpt-4o").end(), 400, "duplicate_field", twice),
        ("two at once", plain().field("model", "gpt-4o").end(), 400, "duplicate_field", twice),
        ("empty", Form::new().field("model", "").end(), 400, "", value),
        ("long", Form::new().field("model", &"m".repeat(257)).end(), 400, "", value),
        ("a file", Form::new().file("model", b"gpt-4o").end(), 400, "", file),
        ("no last boundary", replaced(&plain().end(), "20c4--\r\n", "20c4\r\n"), 400, "", cut),
        ("not a form", b"{\"model\":\"gpt-4o\"}".to_vec(), 400, "", wrong_boundary),
        (
            "unknown",
            Form::new().field("model", "zzz").end(),
            404,
            "model_not_found",
            "The model `zzz` does not exist. Use one of the names listed at /v1/models.",
        ),
    ] {
        let answer = stage.send(upload(PATH, form)).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (status, code), "{row}: {}", answer.text());
        assert_eq!(error["message"], message, "{row}");
        assert_eq!(error["type"], "invalid_request_error", "{row}");
        assert!(stage.upstream.requests().is_empty(), "{row}");
    }
    stage.assert_alive("forms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_behind_the_file_keeps_the_request_incomplete() {
    let stage = Stage::with("").await;
    let long = audio(1 << 20);
    let begun = || Form::new().field("model", "gpt-4o").file("file", &long);
    let unfinished = begun().end();
    for (row, form, code) in [
        ("another model", begun().field("model", "other").end(), "duplicate_field"),
        ("another spelling", begun().field("MODEL", "other").end(), "duplicate_field"),
        ("model_id", begun().field("model_id", "other").end(), "duplicate_field"),
        ("no last boundary", unfinished[..unfinished.len() - 8].to_vec(), ""),
    ] {
        let number = stage.upstream.connections();
        let answer = stage.send(upload(PATH, form)).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (400, code), "{row}: {}", answer.text());
        stage.upstream.connection_closed(number).await;
        assert!(stage.upstream.requests().is_empty(), "{row}: the upstream never has a whole request");
        assert_eq!(answer.header("x-should-retry"), "", "{row}");
        assert!(answer.json().get("gateway").is_none(), "{row}: no attempt is at fault");
    }
    stage.assert_alive("forms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_have_their_limit() {
    let stage = Stage::with("server: { max_body: 64KiB }\n").await;
    let form = Form::new().field("model", "gpt-4o").file("file", &audio(100_000)).end();
    let declared = stage.send(upload(PATH, form.clone())).await;
    assert_eq!((declared.status.as_u16(), &*declared.error_code()), (413, "request_too_large"));
    assert_eq!(stage.upstream.connections(), 0);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        content_type()
    );
    let mut wire = Wire::open(stage.gateway.address()).await;
    let chunk = format!("{:x}\r\n", form.len());
    wire.write([head.as_bytes(), chunk.as_bytes(), &form, b"\r\n0\r\n\r\n"].concat()).await;
    let reply = wire.reply().await;
    assert_eq!(reply.status, 413, "{}", reply.body);
    assert!(reply.body.contains(r#""code":"request_too_large""#), "{}", reply.body);
    stage.upstream.connection_closed(0).await;
    assert!(stage.upstream.requests().is_empty());
}
