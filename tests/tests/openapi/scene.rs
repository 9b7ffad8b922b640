//! A gateway with something of everything.

use gateway_tests::site::Site;
use serde_json::Value;

/// One provider, one model and one key that presents `CALLER_KEY`. Nothing is tried twice, and nothing is held against the
/// upstream.
const CONFIG: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: gpt-4o-2024 } }
models:
  filed: { targets: [ { provider: main } ] }
master_keys: [ { name: filed, key: "${CALLER_KEY}" } ]
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1000000, min_requests: 1000000 }
"#;

/// Where it can be started.
pub(crate) async fn site() -> Site {
    Site::of(CONFIG).await
}

/// Every operation of a document: its path, its method in capitals, and what is said of it.
pub(crate) fn operations(document: &Value) -> Vec<(&str, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            all.push((path.as_str(), method.to_ascii_uppercase(), operation));
        }
    }
    all
}
