//! What an administrator reads when a file is wrong. The texts are snapshots: changing one is a decision.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashMap;

use gateway_config::{Sources, Vocabulary, load};
use tempfile::TempDir;

/// Policies of the tests' own, so that a new built-in one changes no snapshot.
fn vocabulary() -> Vocabulary {
    Vocabulary { policies: vec!["weighted", "p2c", "priority"], ..Vocabulary::default() }
}

/// The report for a file and an environment. The file is named `config.yaml` in it, wherever it really is.
fn report(yaml: &str, environment: &[(&str, &str)]) -> String {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("config.yaml"), yaml).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources =
        Sources { path: None, environment: environment.collect(), working_directory: directory.path().to_owned() };
    load(&sources, &vocabulary()).expect_err("the file is wrong").to_string()
}

macro_rules! snapshots {
    ($($name:ident: $yaml:expr, $environment:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(report($yaml, &$environment));
        })*
    };
}

snapshots! {
    unknown_key: "server:\n  prot: 80\n  nothing_like_it: 1\nqueue: 1\n", [];
    unknown_key_is_an_older_name: "request_timeout_sec: 5\n", [];
    wrong_number: "server:\n  port: 70000\n  workers: many\n  max_in_flight: 0\n  queue: { size: -1 }\n", [];
    wrong_flag_and_choice: "verify_ssl: maybe\nauth: require\nlogging: { format: jsno }\n", [];
    wrong_shape: "server: [1]\nproviders: { name: a }\nmaster_keys: sk-secret-secret-secret\nverify_ssl: { a: b }\nmodels: [a]\n", [];
    bare_number_for_a_duration: "timeouts: { connect: 5, idle: 5 minutes, total: 0s, headers_ms: 0 }\nserver: { max_body: 1000, drain_timeout: 99999d }\n", [];
    two_spellings: "timeouts: { connect: 5s, connect_ms: 5, total: 1s }\nrequest_timeout_secs: 3\nretry: {}\nretry_config: {}\n", [];
    repeated_key: "server:\n  port: 1\n  host: a\n  port: 2\nmodels: { a: {}, a: {} }\nserver: {}\n", [];
    repeated_secret_key: "rate_limit_config:\n  keys:\n    super-secret-key: { limit: 1 }\n    super-secret-key: { limit: 2, perod: 1 }\n", [];
    unset_variables: "server:\n  host: ${NO_HOST}\n  port: ${NO_PORT}\nproviders:\n  - name: a\n    api_key: \"Bearer ${NO_KEY}\"\n", [];
    malformed_variables: "server:\n  host: ${HALF\n  tls: { cert: '${}', key: '${A:-${B}}' }\n", [];
    wrong_variable_value: "server: { port: '${LISTEN}' }\n", [("LISTEN", "eighty")];
    misplaced_secret: "server: { port: '${OPENAI_API_KEY}' }\n", [("OPENAI_API_KEY", "hunter2")];
    list_index_beyond_the_end: "providers: [{ name: a }]\n", [("GATEWAY__PROVIDERS__2__NAME", "x"), ("GATEWAY__PROVIDERS__FIRST__NAME", "x")];
    environment_values: "server: { port: 80 }\n", [("PORT", "eighty"), ("GATEWAY__SERVER__PROT", "1"), ("GATEWAY__TIMEOUTS__CONNECT", "5"), ("GATEWAY__PROVIDERS__1__NAME", "x"), ("gateway__providers__0__name", "a/b")];
    provider_without_name: "providers:\n  - api_base: https://example.com\n  - name:\npassthrough: who\nmodels: { m: { fallback_models: [x], targets: [{ provider: y }] } }\n", [];
    repeated_provider: "providers:\n  - { name: a }\n  - { name: b }\n  - { name: a }\n", [];
    provider_type: "providers:\n  - { name: a, type: anthropic }\n  - { name: b, type: opnai }\n", [];
    provider_url: "providers:\n  - { name: a, api_base: example.com/v1 }\n  - { name: b, api_base: 'ftp://example.com' }\n  - { name: c, api_base: 'https://user:hunter2@example.com' }\n  - { name: d, api_base: 'https://example.com/v1?key=hunter2' }\n  - { name: e, api_base: 'https://example.com/#top' }\n  - { name: f, api_base: 'https://example.com:99999/' }\n  - { name: g, api_base: /v1 }\n  - { name: h, api_base: 'https://' }\n", [];
    empty_secrets: "providers:\n  - { name: a, api_key: '' }\n  - { name: b, api_keys: ['${EMPTY}'] }\nmaster_keys:\n  - { name: k, key: '${EMPTY}' }\n  - { name: l, key: '${UNSET:-}' }\n", [("EMPTY", "")];
    secrets_that_no_header_carries: "providers: [{ name: a, api_key: '${LINE}' }, { name: b, api_keys: [' hunter2'] }]\nmaster_keys: [{ name: a, key: 'hünter2-hünter2-' }]\n", [("LINE", "hunter2\n")];
    two_kinds_of_provider_key: "providers: [{ name: a, api_key: hunter2, api_keys: [hunter3] }]\n", [];
    secrets_of_the_wrong_shape: "providers: [{ name: a, api_key: [hunter2], api_keys: hunter3 }]\nadmin: { key: hunter2 }\nmaster_keys: [{ name: a, key: { hunter4: 1 } }]\n", [];
    weights: "providers: [{ name: a, weight: 0 }, { name: b, weight: 1001 }]\nmodels: { m: { targets: [{ provider: a, weight: 0 }, { provider: a, weight: x }, {}] } }\n", [];
    headers: "providers:\n  - name: a\n    headers: { host: x, 'a b': x, X-Ok: \"a\\nb\", Connection: close, x-team: a, X-Team: b }\n    forward_headers: [authorization, transfer-encoding, 'x y', x-fine]\n", [];
    model_mapping: "providers:\n  - { name: a, model_mapping: { a: 'b*', c: { mapped_model: d, input_cost_per_1k_tokens: -1, input_cost_per_million_tokens: 1, cost: 2 }, e: , f: [g] } }\n  - { name: b, model_mapping: text }\n", [];
    references: "providers: [{ name: primary, model_mapping: { gpt-4o: x } }, { name: off, enabled: false, model_mapping: [c] }]\npassthrough: off\nmodels:\n  a: { targets: [{ provider: primry }], fallback_models: [gpt-4, b] }\n  'x-*': {}\n", [];
    inline_models: "models:\n  a: { endpoint: 'https://example.com/x', targets: [] }\n  b: { api_key: hunter2, model: c }\n  c: { endpoint: nowhere }\n", [];
    master_keys: "master_keys:\n  - { name: a, key: same-key-same-key }\n  - { name: a, key: another-key-another }\n  - { name: c, key: same-key-same-key }\n  - { key: k }\n  - { name: d, key: x, expires_at: tomorrow, rate_limit: { requests: 1, limit: -1 }, budget: { period: week }, enabled: true, is_enabled: true }\n", [];
    limits_on_strangers: "master_keys: [{ name: a, key: the-first-key-here }]\nrate_limit_config: { keys: { the-other-key-here: { limit: 1 }, the-first-key-here: {} } }\n", [];
    cors_and_tls: "server:\n  tls: { cert: a.pem }\n  cors: { allowed_origins: [example.com, 'https://a.example/x', 'https://ok.example'], allowed_headers: ['a b'] }\n", [];
    admin_and_storage: "admin: { key: short, listen: localhost }\nstore: { url: 'mysql://user:hunter2@host' }\nredis: { url: 'http://:hunter2@host', on_error: alow }\n", [];
    shared_limits: "redis: { url: 'redis://', on_error: deny, timeout: 0ms, prefix: 'a b' }\n", [];
    shared_limits_without_end: "redis: { url: 'rediss://h', timeout: 11s, prefix: '{llmgw}' }\n", [];
    shared_limits_of_the_wrong_shape: "redis: { timeout: soon, prefix: [], timeout_ms: 5, wait: 1s }\n", [];
    reliability: "retry: { max_retries: 100, base_delay: 1, budget: { ratio: 2, min_per_second: x } }\ncircuit_breaker: { failure_ratio: 0, window: 0s, min_requests: 0 }\n", [];
    reliability_out_of_range: "retry: { max_retries: -1, max_delay: 99999999999999999999s, max_retry_after: 99999d, budget: { ratio: -0.1, min_per_second: 1e9 } }\ncircuit_breaker: { consecutive_failures: 4294967297, failure_ratio: 'NaN', min_requests: 1.5, window: -1s, open: 0s, max_open_secs: 4294967295, half_open_probes: 0 }\nmodels: { m: { endpoint: 'https://example.com/x', max_retries: 21 }, n: { endpoint: 'https://example.com/x', max_retries: -1 } }\n", [];
    reliability_of_the_wrong_shape: "retry: 3\ncircuit_breaker: off\nproviders: [{ name: a }]\nmodels: { m: { max_retries: [1], fallback_models: n, hedge: 800ms, affinity: { by: session }, balance: [p2c] } }\n", [];
    reliability_in_older_names: "retry_config: { max_retries: x, base_delay_ms: 1s, budgt: {}, max_delay: 1s, max_delay_ms: 1 }\n", [];
    ceilings_below_the_first_value: "retry: { base_delay: 2s, max_delay: 1s }\ncircuit_breaker: { open: 10m }\n", [];
    ceilings_below_the_default: "retry: { max_delay: 100ms }\ncircuit_breaker: { max_open_secs: 1, open: soon }\n", [];
    fallbacks: "provider_suffix: P\nproviders: [{ name: a, model_mapping: [m, n, 'y*'] }]\nmodels:\n  m: { fallback_models: [P/m, n, P/n, 'n*', P/, ~, [n], a/n, a/x] }\n  n: { fallback_models: [y0, y1, y2, y3, y4, y5, y6, y7, y8, y9, y10, y11, y12, y13, y14, y15, y16] }\n", [];
    hedges: "providers: [{ name: a }]\nmodels:\n  a: { hedge: { after: p100 } }\n  b: { hedge: { after: soon } }\n  c: { hedge: { after: p95, max: 0 } }\n  d: { hedge: { after: 800, max: 4 } }\n  e: { hedge: { after: 0s, max: -1 } }\n  f: { hedge: { after: p49, maximum: 1 } }\n  g: { hedge: {} }\n  h: { hedge: { after: p9.5 } }\n  i: { hedge: { after: 99999d } }\n  j: { hedge: { after_ms: 800 } }\n", [];
    affinity_and_balance: "providers: [{ name: a }]\nmodels:\n  a: { affinity: sesion }\n  b: { affinity: user }\n  c: { balance: wieghted }\n  d: { targets: [{ provider: a, priority: -1 }, { provider: a, priority: 1001 }, { provider: a, priority: first }] }\n", [];
    health_checks: "health_check: { interval: 30, timeout: 0s, model: '', modle: x }\nproviders:\n  - { name: a, model_mapping: [m, 'n-*'], health_check: { model: x, interval: 10ms, timeout: 6m } }\n  - { name: b, health_check: maybe }\n  - { name: c, health_check: [m] }\n  - { name: d, health_check: { interval: 25h, every: 1m } }\n", [];
    health_checks_of_the_wrong_shape: "health_check: 30s\nproviders: [{ name: a, health_chek: false }]\n", [];
    samples: "logging: { sample: 1.5, sampel: 1 }\n", [];
    samples_that_are_no_share: "logging: { sample: 10% }\n", [];
    pools_of_keys: "providers:\n  - { name: a, api_keys: [hunter2, hunter3, hunter2] }\n  - { name: b, api_keys: ['${SAME}', [], '${SAME}', ''] }\n", [("SAME", "hunter4")];
    invalid_yaml: "server:\n  port: 80\n host: [\n", [];
    unknown_alias: "server: *nowhere\n", [];
    two_documents: "auth: none\n---\nauth: none\n", [];
    not_a_mapping: "- a\n- b\n", [];
    only_comments: "# nothing yet\n", [];
    empty: "", [];
    truncated: "providers:\n  - name: \"a", [];
}

#[test]
fn a_dozen_errors_are_reported_at_once() {
    let yaml = "\
server:
  prot: 8080
  max_body: 32
  workers: 0
provider: []
providers:
  - name: openai
    type: gemini
    api_key: ${OPENAI_KEY}
    weight: 0
    timeouts: { conect: 2s, idle: soon }
  - name: openai
    api_base: example.com
    model_mapping: { gpt-4o: gpt-4o-2024-11-20 }
models:
  fast:
    fallback_models: [gpt-4]
    targets: [{ provider: opnai }]
master_keys:
  - name: nobody
    key: ''
auth: nobody
";
    let environment = [("PORT", "0x50"), ("VERIFY_SSL", "never")];
    insta::assert_snapshot!(report(yaml, &environment));
}

#[test]
fn a_pool_has_at_most_64_keys() {
    let yaml = |keys: usize| {
        let keys: Vec<String> = (0..keys).map(|index| format!("key-{index}")).collect();
        format!("providers: [{{ name: a, api_keys: [{}] }}]", keys.join(", "))
    };
    assert_eq!(gateway_config::Config::from_yaml(&yaml(64)).unwrap().providers[0].api_keys.len(), 64);
    let report = report(&yaml(70), &[]);
    assert!(report.contains("providers[0].api_keys[64]: the list has 70 keys; a provider may have 64"), "{report}");
    assert_eq!(report.lines().count(), 2, "{report}");
}

#[test]
fn a_report_stops_at_a_hundred() {
    let yaml: String = (0..250).fold(String::new(), |yaml, index| yaml + &format!("nonsense_{index}: 1\n"));
    let report = report(&yaml, &[]);
    assert_eq!(report.lines().count(), 101);
    assert!(report.ends_with("250 errors in the configuration, the first 100 listed"), "{report}");
}

#[test]
fn no_report_repeats_a_secret() {
    let yaml = "\
admin: { key: hunter2, keys: hunter2 }
store: { url: 'x://hunter2' }
redis: { url: 'x://hunter2' }
providers:
  - { name: a, api_key: { hunter2: hunter2 }, api_keys: { k: hunter2 }, headers: { authorization: \"hunter2\\n\" } }
  - { name: b, api_base: 'https://hunter2@x', api_keys: hunter2 }
  - { name: c, api_base: 'https://x?hunter2' }
  - { name: d, api_keys: [hunter2, hunter2] }
master_keys: hunter2
rate_limit_config: { keys: { hunter2: { limit: x, y: 1 }, '${hunter2': 5 } }
models: { m: { endpoint: 'https://hunter2@x', api_key: [hunter2] } }
";
    let report = report(yaml, &[("LEAK", "hunter2"), ("GATEWAY__ADMIN__KEY", "hunter2")]);
    assert!(!report.contains("hunter2"), "{report}");
    assert!(report.lines().count() > 10, "{report}");
}

#[test]
fn a_line_of_dotenv_is_located_and_not_repeated() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join(".env"), "GOOD=1\nSECRET=hunter2 and more\n").unwrap();
    let sources = Sources { path: None, environment: HashMap::new(), working_directory: directory.path().to_owned() };
    let report = load(&sources, &Vocabulary::default()).unwrap_err().to_string();
    assert!(report.contains(".env:2: "), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn errors_are_data_too() {
    let errors = gateway_config::Config::from_yaml("server:\n  port: x\n").unwrap_err();
    let error = errors.iter().next().unwrap();
    assert_eq!((error.line, error.column, error.path.as_str()), (Some(2), Some(9), "server.port"));
    assert!(error.to_string().starts_with("line 2, column 9: server.port: "), "{error}");
    assert_eq!((error.file.as_ref(), error.variable.as_ref()), (None, None));
}
