//! What an administrator is shown of the configuration in force.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use gateway_config::{Config, Difference, Vocabulary};

fn config(yaml: &str) -> Config {
    let vocabulary = Vocabulary { policies: vec!["weighted", "p2c", "priority"], ..Vocabulary::default() };
    Config::from_yaml_with(yaml, &vocabulary).unwrap_or_else(|errors| panic!("{yaml}\n{errors}"))
}

fn document(config: &Config) -> String {
    serde_json::to_string_pretty(&config.redacted()).unwrap()
}

#[test]
fn the_smallest_file_shows_the_defaults() {
    insta::assert_snapshot!(document(&config("providers: [{ name: a, api_key: sk-0123456789-0123456789 }]\n")));
}

const EVERYTHING: &str = "
server:
  port: 1
  reuse_port: true
  workers: 2
  max_body: 1GB
  queue: { timeout: 1500ms }
  state_dir: /var/lib/gateway
  tls: { cert: a.pem, key: b.pem }
  cors: { allowed_origins: ['https://app.example.com'] }
admin: { listen: '127.0.0.1:2' }
store: { url: none }
redis: { url: 'redis://cache/0', prefix: 'p:', on_error: deny, timeout: 20ms }
verify_ssl: false
provider_suffix: Proxy
rewrite_response: false
providers:
  - name: a
    weight: 3
    model_mapping: { x: y, 'x-*': '*', z: { mapped_model: zz, input_cost_per_1k_tokens: 0.003, output_cost_per_million_tokens: 0.07 } }
    forward_headers: [x-team]
    max_in_flight: 5
    verify_ssl: true
    timeouts: { connect: 2s }
    health_check: { model: x-mini, interval: 90s }
  - { name: sim, type: simulator, model_mapping: [sim], health_check: false }
  - { name: off, api_base: 'http://127.0.0.1:8000/v1', enabled: false }
models:
  x: { balance: priority, targets: [{ provider: a, priority: 4, weight: 2 }, { provider: sim, model: sim }] }
  inline: { endpoint: 'https://example.com/chat', model: m, hedge: { after: p95, max: 2 }, affinity: prompt_prefix }
  z: { balance: p2c, fallback_models: [Proxy/x], hedge: { after: 800ms }, max_retries: 0, timeouts: { idle: 1m }, rewrite_response: true }
timeouts: { total: 90s }
retry: { max_retries: 4, base_delay: 100ms, budget: { ratio: 0.3 } }
circuit_breaker: { failure_ratio: 0.25 }
health_check: { interval: 1m, timeout: 1500ms, model: x }
auth: none
passthrough: a
logging: { format: json, access: off, sample: 0.1, upstream_errors: on }
";

#[test]
fn what_is_shown_has_the_shape_of_a_file_and_means_the_same() {
    let config = config(EVERYTHING);
    let shown = document(&config);
    insta::assert_snapshot!(shown);
    let read = self::config(&shown);
    assert_eq!(Difference::between(&config, &read), Difference::default());
    assert_eq!(config, read);
}

#[test]
fn no_secret_is_shown_anywhere() {
    // What is shown of a key is at most six characters, so a canary of seven is in none.
    const CANARY: &str = "CANARY7";
    let yaml = "
admin: { key: sk-CANARY7-0123456789-CANARY7 }
store: { url: 'postgresql://gateway:CANARY7@db/gateway?sslpassword=CANARY7', key_pepper: CANARY7, encryption_key: CANARY7 }
redis: { url: 'redis://gateway:CANARY7@cache' }
providers:
  - { name: a, api_key: sk-CANARY7-0123456789-CANARY7, headers: { x-key: CANARY7, authorization: 'Bearer CANARY7' } }
  - { name: b, api_keys: [CANARY7, sk-0123456789-CANARY7-0123456789] }
  - { name: c, api_key: CANARY7, enabled: false, headers: { x-key: CANARY7 } }
models:
  m: { endpoint: 'https://example.com/chat?key=CANARY7', api_key: sk-CANARY7-0123456789-CANARY7 }
master_keys:
  - { name: k, key: sk-CANARY7-0123456789-CANARY7 }
  - { name: l, key: CANARY7 }
  - { name: m, key_digest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', key_preview: sk-…abc }
";
    let config = config(yaml);
    let shown = document(&config);
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(!shown.contains("9f86d081"), "{shown}");
    insta::assert_snapshot!(shown);
    let debug = format!("{:?}", config.redacted());
    assert!(!debug.contains(CANARY), "{debug}");
    let one = serde_json::to_string(&config.providers[0].redacted()).unwrap();
    assert!(!one.contains(CANARY), "{one}");
}
