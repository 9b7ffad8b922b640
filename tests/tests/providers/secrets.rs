//! Secrets of providers and models, in no answer, no audit entry and no log line.

use gateway_testing::{Script, client};
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::site::Site;
use gateway_tests::stage::{CALLER_KEY, with_header};
use serde_json::json;

use crate::scene::{FILE, call, one, one_model};

const KEY: &str = "sk-canary-one-4d1b7c90e35f28a6";
const POOLED: &str = "sk-canary-two-70c2e9b41d8f53aa";
const HEADER: &str = "canary-header-5c90e3b7";
const MODEL_KEY: &str = "sk-canary-model-19e2d7c5a04b";
/// Never becomes anything: it is in what is refused.
const REFUSED: &str = "sk-canary-refused-61b0ffce20";
const CANARIES: [&str; 5] = [KEY, POOLED, HEADER, MODEL_KEY, REFUSED];

fn assert_hidden(place: &str, text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{place} tells {canary}: {text}");
    }
}

/// Requests with secrets in places where they do not belong.
fn mistakes(api_base: &str) -> Vec<String> {
    vec![
        format!(r#"{{"id":"x","api_base":"{api_base}","api_key":["{REFUSED}"]}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_key":{{"value":"{REFUSED}"}}}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_keys":"{REFUSED}"}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_keys":["{REFUSED}",7]}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_key":"{REFUSED}\n"}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_key":"{REFUSED}","api_keys":["{REFUSED}"]}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_key":"{REFUSED}","api_key":"{REFUSED}"}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_kye":"{REFUSED}"}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","headers":"{REFUSED}"}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","headers":["{REFUSED}"]}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","headers":{{"x-a":["{REFUSED}"]}}}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","headers":{{"x a":"{REFUSED}"}}}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","headers":{{"x-a":"{REFUSED}\r\n"}}}}"#),
        format!(r#"{{"id":"x","api_base":"{api_base}","api_key":"{REFUSED}"#),
        format!(r#"{{"id":"x","api_base":"http://user:{REFUSED}@127.0.0.1:9/v1"}}"#),
        format!(r#"{{"id":"x","api_base":"http://127.0.0.1:9/v1?key={REFUSED}"}}"#),
        format!(r#""{REFUSED}""#),
    ]
}

async fn site_on(database: &gateway_tests::database::Database) -> Site {
    let site = Site::of(FILE).await.with("DB_URL", &database.url()).with("RUST_LOG", "debug");
    // An upstream that repeats what it was sent.
    site.upstream.otherwise(|request| {
        let head = String::from_utf8_lossy(&request.head).into_owned();
        Script::json(if head.contains("x-fail") { 401 } else { 200 }, json!({ "ok": true }).to_string())
    });
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told() {
    for database in gateway_tests::database::Database::each() {
        let site = site_on(&database).await;
        let node = site.start();
        let base = site.upstream.api_base();
        let mut told = Vec::new();
        let fields = json!({
            "id": "made", "api_base": base, "api_key": KEY, "headers": { "x-team": HEADER }, "model_mapping": ["m"],
        });
        let endpoint = format!("{base}/chat/completions?api-key={MODEL_KEY}");
        let model = json!({ "id": "named", "endpoint": endpoint, "api_key": MODEL_KEY });
        for (method, path, body) in [
            ("POST", PROVIDERS.to_owned(), fields.to_string()),
            ("POST", MODELS.to_owned(), model.to_string()),
            ("PUT", one("made"), json!({ "api_keys": [KEY, POOLED] }).to_string()),
            ("PUT", one_model("named"), json!({ "max_retries": 0 }).to_string()),
            ("GET", one("made"), String::new()),
            ("GET", one_model("named"), String::new()),
            ("GET", PROVIDERS.to_owned(), String::new()),
            ("GET", MODELS.to_owned(), String::new()),
            ("GET", "/admin/v1/config".to_owned(), String::new()),
            ("GET", "/admin/v1/config/version".to_owned(), String::new()),
            ("GET", "/health/detailed".to_owned(), String::new()),
            ("POST", "/admin/v1/config/reload".to_owned(), String::new()),
            ("POST", format!("{}/health", one("made")), String::new()),
            ("POST", "/admin/v1/health/check".to_owned(), String::new()),
        ] {
            let answer = node.admin().send(method, &path, body).await;
            assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
            told.push((format!("{method} {path}"), format!("{:?} {}", answer.headers, answer.text())));
        }
        for model in ["m", "named"] {
            let answer = call(&node, model).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            told.push((model.to_owned(), format!("{:?} {}", answer.headers, answer.text())));
        }
        for (method, path) in [("POST", PROVIDERS.to_owned()), ("PUT", one("made"))] {
            for body in mistakes(&base) {
                let answer = node.admin().send(method, &path, body.clone()).await;
                assert!(answer.status.is_client_error(), "{method} {body}: {} {}", answer.status, answer.text());
                told.push((format!("{method} {path} {body}"), format!("{:?} {}", answer.headers, answer.text())));
            }
        }
        for path in [one_model("named"), one("made")] {
            node.admin().delete(&path).await;
        }
        let noted = node.admin().audit().await;
        assert_eq!(noted.len(), 6, "{noted:?}");
        told.push(("the audit log".to_owned(), json!(noted).to_string()));
        for (place, text) in &told {
            assert_hidden(place, text);
        }
        assert_hidden("the log", &node.process.stop().join("\n"));
        for canary in CANARIES {
            let telling = format!("coalesce(state_before, '') || coalesce(state_after, '') LIKE '%{canary}%'");
            let count = database.text(&format!("SELECT COUNT(*) || '' FROM audit_log WHERE {telling}")).await;
            assert_eq!(count, "0", "the table tells {canary}");
        }
    }
}

/// Nobody gets in without the admin key.
#[tokio::test]
async fn only_administrators_may_look() {
    let site = Site::of(FILE).await;
    let node = site.start();
    for (method, path) in [
        ("GET", PROVIDERS.to_owned()),
        ("POST", PROVIDERS.to_owned()),
        ("GET", one("filed")),
        ("PUT", one("filed")),
        ("DELETE", one("filed")),
        ("POST", format!("{}/health", one("filed"))),
        ("POST", "/admin/v1/health/check".to_owned()),
        ("GET", MODELS.to_owned()),
        ("GET", "/admin/v1/config".to_owned()),
        ("POST", "/admin/v1/config/reload".to_owned()),
    ] {
        let request = || client::request(method, &path, "");
        assert_eq!(node.send(request()).await.status, 401, "{method} {path}");
        let request = with_header(request(), "authorization", &format!("Bearer {CALLER_KEY}"));
        assert_eq!(node.send(request).await.status, 401, "{method} {path}");
    }
    site.upstream.at_rest().await;
    assert!(site.upstream.requests().is_empty());
}
