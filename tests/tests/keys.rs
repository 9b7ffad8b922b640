//! Callers without a good key: the exact answer, wherever the key stands, and nothing sent upstream.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gateway_tests::refusal::{assert_refused, refusal};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, Stage, key_line};
use gateway_tests::wire::{exchange, lines as raw};

#[tokio::test]
async fn keys_have_to_be_good_wherever_they_stand() {
    let sections = "  - { name: off, key: sk-disabled-0001, enabled: false }\n";
    let stage = Stage::with(sections).await;
    let missing =
        "The request carries no API key. Send `Authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`.";
    let unknown = "The API key is not known here. Check it, or ask this gateway's administrator for another.";
    let several = "The request carries several API keys that differ. Send one.";
    let disabled = "The API key is disabled. Use another, or ask this gateway's administrator to enable it.";
    let own = key_line();
    let rows: [(&[&str], &str, &str); 15] = [
        (&[], "missing_api_key", missing),
        (&["authorization: Basic dTpw"], "missing_api_key", missing),
        (&["authorization: Bearer "], "missing_api_key", missing),
        (&["x-api-key: "], "missing_api_key", missing),
        (&["authorization: Bearer sk-wrong"], "invalid_api_key", unknown),
        (&["x-api-key: sk-wrong"], "invalid_api_key", unknown),
        (&["api-key: sk-wrong"], "invalid_api_key", unknown),
        (&["authorization: Bearer sk-disabled-0001"], "disabled_api_key", disabled),
        (&["x-api-key: sk-disabled-0001"], "disabled_api_key", disabled),
        (&["api-key: sk-disabled-0001"], "disabled_api_key", disabled),
        (&[&own, "x-api-key: sk-wrong"], "invalid_api_key", several),
        (&[&own, "api-key: sk-wrong"], "invalid_api_key", several),
        (&[&own, "authorization: Bearer sk-wrong"], "invalid_api_key", several),
        (&["x-api-key: a", "api-key: b"], "invalid_api_key", several),
        (&["x-api-key: k\u{e9}y"], "invalid_api_key", unknown),
    ];
    for (keys, code, message) in rows {
        let row = format!("{keys:?}");
        for request_line in [&*format!("POST {CHAT} HTTP/1.1"), "GET /v1/models HTTP/1.1", "GET /v1/models/x HTTP/1.1"]
        {
            let lines = [&[request_line, "host: gw", "content-length: 18"], keys].concat();
            let reply = exchange(stage.gateway.address(), raw(&lines, CALL)).await;
            assert_refused(&row, &reply, 401, &refusal("authentication_error", code, "", message));
            assert_eq!(reply.header("www-authenticate"), "bearer", "{row}");
        }
    }
    stage.assert_nothing_was_sent("any key");
    for keys in [&[&*own][..], &[&format!("x-api-key: {CALLER_KEY}")], &[&format!("api-key: {CALLER_KEY}"), &own]] {
        let lines = [&["GET /v1/models HTTP/1.1", "host: gw"], keys].concat();
        assert_eq!(exchange(stage.gateway.address(), raw(&lines, "")).await.status, 200, "{keys:?}");
    }
}
