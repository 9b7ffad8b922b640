//! The log: one line a call, in the shape that was asked for, on standard error.

use std::cell::RefCell;

use gateway_testing::{GatewayProcess, client};
use serde_json::Value;

const CONFIG: &str = "
auth: none
providers:
  - { name: simulator, type: simulator, model_mapping: [sim] }
";

const CHAT: &str = "/v1/chat/completions";
const CALL: &str = r#"{"model":"sim","messages":[{"role":"user","content":"Hello"}]}"#;

/// Starts the server, makes three calls and asks after its health, stops it, and gives the whole log.
async fn log(sections: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let gateway = GatewayProcess::start_with(&format!("{CONFIG}{sections}"), environment);
    assert_eq!(client::post(gateway.address(), CHAT, CALL).await.status, 200);
    assert_eq!(client::post(gateway.address(), CHAT, r#"{"model":"unknown"}"#).await.status, 404);
    assert_eq!(client::post(gateway.address(), CHAT, "{").await.status, 400);
    assert_eq!(client::get(gateway.address(), "/health").await.status, 200);
    gateway.terminate().unwrap();
    let lines = RefCell::new(Vec::new());
    gateway.log_line(|line| {
        lines.borrow_mut().push(line.to_owned());
        line.contains("stopped")
    });
    lines.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_has_one_line() {
    let lines = log("", &[]).await;
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let calls: Vec<_> = lines.iter().filter(|line| line["target"] == "access").collect();
    let seen: Vec<_> = calls.iter().map(|call| (call["status"].as_u64().unwrap(), call["error"].as_str())).collect();
    assert_eq!(seen, [(200, None), (404, Some("model_not_found")), (400, Some("invalid_json"))]);

    let served = calls[0];
    for (field, value) in [
        ("level", "INFO"),
        ("endpoint", CHAT),
        ("model", "sim"),
        ("provider", "simulator"),
        ("upstream_model", "sim"),
        ("attempts", "simulator/sim:success:200"),
    ] {
        assert_eq!(served[field], value, "{field} in {served}");
    }
    assert!(served["request_id"].as_str().unwrap().starts_with("req_"), "{served}");
    assert!(served["duration_ms"].as_f64().unwrap() > 0.0 && served["bytes"].as_u64().unwrap() > 0, "{served}");
    assert!(!lines.iter().any(|line| line.to_string().contains("Hello")), "bodies are not logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_can_be_switched_off() {
    let lines = log("logging: { access: off }\n", &[]).await;
    assert!(!lines.iter().any(|line| line.contains("access")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("listening")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_text() {
    for (sections, environment) in [
        ("logging: { format: text }\n", &[][..]),
        ("", &[("LOG_FORMAT", "text")]),
        ("logging: { format: json }\n", &[("LOG_FORMAT", "text")]),
    ] {
        let lines = log(sections, environment).await;
        assert!(lines.iter().all(|line| serde_json::from_str::<Value>(line).is_err()), "{lines:?}");
        assert!(!lines.concat().contains('\u{1b}'), "colours are for terminals: {lines:?}");
        let calls: Vec<_> = lines.iter().filter(|line| line.contains(" access: ")).collect();
        assert!(calls.len() == 3 && calls[0].contains("status=200"), "{lines:?}");
    }
    let lines = log("logging: { format: text }\n", &[("LOG_FORMAT", "json")]).await;
    assert!(lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines:?}");
}

/// Lines of calls are asked for by a setting of their own, and stay unless they are named.
#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_quieter() {
    for (directives, calls) in [("warn", 1), ("gateway_core=debug", 1), ("warn,access=off", 0), ("off", 0)] {
        let gateway = GatewayProcess::start_with(CONFIG, &[("RUST_LOG", directives)]);
        assert_eq!(client::post(gateway.address(), CHAT, r#"{"model":"sim?status=500"}"#).await.status, 404);
        let log = gateway.stop();
        let (of_calls, others): (Vec<_>, Vec<_>) = log.iter().partition(|line| line.contains(r#""target":"access""#));
        assert_eq!(of_calls.len(), calls, "{directives}: {log:?}");
        assert!(!others.iter().any(|line| line.contains("INFO")), "{directives}: {log:?}");
    }
}
