//! Bodies that stream through: whoever has not taken a byte of one leaves it whole for the next.

use std::time::Duration;

use gateway_testing::{Answer, Script};
use gateway_tests::deaf::DeafAddress;
use gateway_tests::form::{BOUNDARY, Form};
use gateway_tests::stage::{Stage, authorized, key_line, with_header};
use gateway_tests::trail;
use gateway_tests::wire::Wire;
use tokio::time::sleep;

const PATH: &str = "/v1/audio/transcriptions";

/// Two targets that call the model by names of their own, and a model to fall back on.
fn config(first: &str) -> String {
    format!(
        r#"
providers:
  - {{ name: main, api_base: "{first}", model_mapping: {{ whisper: whisper-main }} }}
  - {{ name: other, api_base: "${{OTHER}}", model_mapping: {{ whisper: whisper-other-large, mini: mini }} }}
models:
  whisper:
    balance: priority
    targets: [ {{ provider: main, priority: 1 }}, {{ provider: other, priority: 2 }} ]
    fallback_models: [mini]
retry: {{ base_delay: 1ms, max_delay: 1ms }}
master_keys:
  - {{ name: team, key: "${{CALLER_KEY}}" }}
"#
    )
}

fn form(model: &str, file: &[u8]) -> Vec<u8> {
    Form::new().field("language", "de").field("model", model).file("file", file).end()
}

async fn upload(stage: &Stage, form: Vec<u8>) -> Answer {
    let mut request = authorized("POST", PATH, form);
    request.headers_mut().remove("content-type");
    stage.send(with_header(request, "content-type", &format!("multipart/form-data; boundary={BOUNDARY}"))).await
}

fn audio(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_reached_has_taken_nothing() {
    let deaf = DeafAddress::hold();
    for len in [10, 3 << 20] {
        let stage = Stage::of(&config(&deaf.api_base())).await;
        stage.other.push(Script::json(200, r#"{"text":"hi"}"#));
        let answer = upload(&stage, form("whisper", &audio(len))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(trail::of_answer(&answer), ["main/whisper:transport", "other/whisper:success:200"]);
        let received = stage.other.request(0).await;
        assert!(received.body == form("whisper-other-large", &audio(len)), "{len}: the form is not whole");
        assert_eq!(received.header("content-length"), Some(&*received.body.len().to_string()));
    }
}

/// Also if it says so before it has read much: what was sent cannot be had back.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_has_read_of_it_was_the_last() {
    let private = r#"{"error":{"message":"private words"}}"#;
    for (row, script, code, outcome) in [
        ("500", Script::json(500, private), "upstream_error", "server_error:500"),
        ("503", Script::json(503, private), "upstream_error", "overloaded:503"),
        ("429", Script::json(429, private), "upstream_error", "rate_limited:429"),
        ("401", Script::json(401, private), "upstream_credentials_rejected", "credentials_rejected:401"),
        ("404", Script::json(404, private), "upstream_error", "model_missing:404"),
        ("reset", Script::new().reset(), "upstream_error", "transport"),
        ("closed", Script::new().close(), "upstream_error", "transport"),
        ("not JSON", Script::json(200, "<html>"), "upstream_invalid_response", "invalid_response:200"),
    ] {
        let stage = Stage::of(&config("${UPSTREAM}")).await;
        stage.upstream.push(script);
        let answer = upload(&stage, form("whisper", &audio(1000))).await;
        let row = format!("{row}: {}", answer.text());
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, code), "{row}");
        assert_eq!(trail::of_answer(&answer), [format!("main/whisper:{outcome}")], "{row}");
        assert_eq!(answer.header("x-should-retry"), "false", "{row}");
        assert!(stage.upstream.request(0).await.body == form("whisper-main", &audio(1000)), "{row}");
        assert_eq!((stage.upstream.requests().len(), stage.other.connections()), (1, 0), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_resets_in_the_middle_was_the_last() {
    let stage = Stage::of(&config("${UPSTREAM}")).await;
    stage.upstream.push(Script::after_head().reset());
    let answer = upload(&stage, form("whisper", &audio(8 << 20))).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_error"), "{}", answer.text());
    assert_eq!(trail::of_answer(&answer), ["main/whisper:transport"]);
    assert_eq!((stage.upstream.requests().len(), stage.other.connections()), (1, 0));
}

/// The caller's time is not the upstream's.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_does_not_use_up_the_time_to_the_first_content() {
    let config = [&*config("${UPSTREAM}"), "timeouts: { first_token: 200ms }\n"].concat();
    let stage = Stage::of(&config).await;
    let events = [r#"{"type":"transcript.text.delta","delta":"hi"}"#, r#"{"type":"transcript.text.done","text":"hi"}"#];
    stage.upstream.push(Script::events(events));
    let body = Form::new().field("model", "whisper").field("stream", "true").file("file", &audio(1000)).end();
    let (beginning, rest) = body.split_at(body.len() / 2);
    let mut wire = Wire::open(stage.gateway.address()).await;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: gateway\r\n{}\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\n\
         content-length: {}\r\n\r\n",
        key_line(),
        body.len()
    );
    wire.write([head.as_bytes(), beginning].concat()).await;
    sleep(Duration::from_millis(400)).await;
    wire.write(rest).await;
    let reply = wire.reply().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(stage.upstream.requests().len(), 1);
}
