//! Canaries: keys that must show up in no log, no error and no header, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gateway_testing::{Answer, Script, client};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, ONE_ATTEMPT, PLAIN, PROVIDER_KEY, Stage, authorized, with_header};

/// A key that no configuration knows.
const STRANGERS_KEY: &str = "sk-stranger-5d2e8c11";

/// A credential configured as a header, which only the upstream may see.
const CONFIGURED: &str = "configured-7f3a9b20";

fn assert_silent(row: &str, text: &str) {
    for canary in [CALLER_KEY, PROVIDER_KEY, STRANGERS_KEY, CONFIGURED] {
        if let Some(at) = text.find(canary) {
            let from = text.floor_char_boundary(at.saturating_sub(200));
            panic!("{row} tells {canary}: {}", &text[from..at + canary.len()]);
        }
    }
}

fn assert_tells_nothing(row: &str, answer: &Answer) {
    assert_silent(row, &answer.text());
    assert_silent(row, &format!("{:?}", answer.headers));
    for value in answer.headers.values() {
        assert_silent(row, &String::from_utf8_lossy(value.as_bytes()));
    }
}

#[tokio::test]
async fn no_key_is_told_to_anybody() {
    let config = format!(
        "{}passthrough: main\n{ONE_ATTEMPT}",
        PLAIN.replace("model_mapping:", &format!("headers: {{ api-key: {CONFIGURED} }}, model_mapping:"))
    );
    let stage = Stage::logging(&config, "trace").await;
    let echo = format!(r#"{{"error":{{"message":"bad key {PROVIDER_KEY} or {CONFIGURED}","code":401}}}}"#);
    let content = r#"{"choices":[{"delta":{"content":"x"}}]}"#;
    let stream = Script::event_stream().event(content);
    for (row, script) in [
        ("success", Script::json(200, r#"{"model":"x"}"#)),
        ("a stream", Script::events([content, "[DONE]"])),
        ("401", Script::json(401, r#"{"error":{"message":"bad key"}}"#)),
        ("401 that quotes the key", Script::json(401, &echo)),
        ("500 that quotes the key", Script::json(500, &echo)),
        ("400 that quotes the key", Script::json(400, &echo)),
        ("200 that quotes the key in an error", Script::json(200, &echo)),
        ("a stream that begins with an error", Script::events([&*echo])),
        ("a stream that ends with an error", Script::events([content, &*echo])),
        ("a stream that ends with an error event", stream.clone().chunk(format!("event: error\ndata: {echo}\n\n"))),
        ("an error that lacks its empty line", stream.chunk(format!("data: {echo}")).end_chunks()),
        ("not JSON", Script::json(200, format!("<html>{PROVIDER_KEY}</html>"))),
        ("302", Script::json(302, &echo)),
        ("reset", Script::new().reset()),
        ("half a head", Script::new().write(format!("HTTP/1.1 200 OK\r\nx: {PROVIDER_KEY}")).close()),
        ("no HTTP", Script::new().write(format!("{PROVIDER_KEY}\r\n\r\n")).close()),
    ] {
        stage.upstream.push(script.clone());
        assert_tells_nothing(row, &stage.post(CHAT, CALL).await);
    }
    for (name, value) in [
        ("authorization", format!("Bearer {STRANGERS_KEY}")),
        ("authorization", format!("Basic {STRANGERS_KEY}")),
        ("x-api-key", STRANGERS_KEY.to_owned()),
        ("api-key", STRANGERS_KEY.to_owned()),
    ] {
        let asked = with_header(client::request("POST", CHAT, CALL), name, &value);
        assert_tells_nothing(name, &stage.send(asked).await);
        let both = with_header(authorized("POST", CHAT, CALL), name, &value);
        stage.upstream.push(Script::json(200, "{}"));
        assert_tells_nothing(name, &stage.send(both).await);
    }
    for target in [format!("{CHAT}?key={STRANGERS_KEY}"), format!("/v1/files?key={STRANGERS_KEY}")] {
        stage.upstream.push(Script::json(200, "{}"));
        assert_tells_nothing(&target, &stage.send(authorized("POST", &target, CALL)).await);
        assert_tells_nothing(&target, &stage.send(authorized("POST", &format!("/{STRANGERS_KEY}"), CALL)).await);
    }
    let log = stage.stop();
    assert!(log.lines().count() > 20, "the log is written: {log}");
    assert_silent("the log", &log);
}
