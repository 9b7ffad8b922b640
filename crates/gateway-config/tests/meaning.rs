//! What a valid file resolves to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use gateway_call::ModelPattern;
use gateway_config::{Config, ProviderEndpoint};
use gateway_ratelimit::Price;

fn config(yaml: &str) -> Config {
    Config::from_yaml(yaml).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn mappings_and_models_keep_the_order_of_the_file() {
    let config = config(
        "providers: [{ name: a, model_mapping: { 'z*': 1, b: { mapped_model: up }, 'a*': '*', m: { input_cost_per_million_tokens: 3 } } }]\n\
         models: { z: {}, a: , m: { balance: weighted } }",
    );
    let mapping: Vec<_> = config.providers[0]
        .model_mapping
        .iter()
        .map(|entry| (entry.public.as_str(), entry.upstream.as_deref()))
        .collect();
    assert_eq!(mapping, [("z*", Some("1")), ("b", Some("up")), ("a*", None), ("m", None)]);
    assert_eq!(config.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
    assert!(config.models[1].targets.is_empty());
}

#[test]
fn targets_take_the_providers_name_for_the_model() {
    let config = config(
        "providers:
  - { name: exact, model_mapping: { 'm*': pattern, model: exact-name } }
  - { name: pattern, model_mapping: { 'mo*': '*', 'm*': second } }
  - { name: off, enabled: false, api_key: x }
  - { name: other, model_mapping: { elsewhere: x } }
models:
  model:
    targets:
      - provider: exact
      - provider: pattern
      - provider: off
      - provider: other
      - { provider: exact, model: said, weight: 7 }
",
    );
    assert_eq!(config.providers.len(), 3);
    let targets: Vec<_> = config.models[0]
        .targets
        .iter()
        .map(|target| (config.providers[target.provider].name.as_str(), target.upstream_model.as_str(), target.weight))
        .collect();
    assert_eq!(
        targets,
        [("exact", "exact-name", 1), ("pattern", "model", 1), ("other", "model", 1), ("exact", "said", 7)]
    );
}

#[test]
fn older_names_of_timeouts_work_everywhere() {
    let config = config(
        "request_timeout_secs: 100
timeouts: { ttft_timeout_secs: 9, connect_ms: 250, idle_secs: 30 }
providers:
  - { name: a, ttft_timeout_secs: 3, timeouts: { request_timeout_secs: 50 } }
  - { name: b }
models: { m: { request_timeout_secs: 20 } }
",
    );
    let of = |index: usize| config.providers[index].timeouts;
    assert_eq!((of(0).first_token.as_secs(), of(0).total.as_secs()), (3, 50));
    assert_eq!((of(1).first_token.as_secs(), of(1).total.as_secs()), (9, 100));
    assert_eq!((of(1).connect, of(1).idle.as_secs()), (Duration::from_millis(250), 30));
    assert_eq!(config.models[0].timeouts.total, Some(Duration::from_secs(20)));
    assert_eq!(config.models[0].timeouts.over(of(0)).first_token.as_secs(), 3);
}

#[test]
fn endpoints_are_bases_unless_they_are_complete() {
    let config = config(
        "verify_ssl: false
providers:
  - name: openai
  - { name: host, api_base: 'http://127.0.0.1:8000/v1///' }
  - { name: root, api_base: 'https://example.com' }
  - { name: sim, type: simulator }
  - { name: far, type: simulator, api_base: 'http://[::1]:9/v1' }
models:
  m: { endpoint: 'https://example.com/deep/chat/completions?api-version=1', api_key: k, model: up }
",
    );
    let base = |text: &'static str| ProviderEndpoint::Base(http::Uri::from_static(text));
    let endpoints: Vec<_> = config.providers.iter().map(|provider| provider.endpoint.clone()).collect();
    assert_eq!(
        endpoints,
        [
            base("https://api.openai.com/v1"),
            base("http://127.0.0.1:8000/v1"),
            base("https://example.com"),
            ProviderEndpoint::Simulator { at: None },
            base("http://[::1]:9/v1"),
            ProviderEndpoint::Complete(http::Uri::from_static(
                "https://example.com/deep/chat/completions?api-version=1"
            )),
        ]
    );
    assert_eq!(config.models[0].targets[0].upstream_model, "up");
    let inline = &config.providers[5];
    assert!(!inline.resolvable && !inline.verify_ssl && inline.api_keys[0].expose() == "k");
}

#[test]
fn keys_default_to_every_model_and_may_have_none() {
    let config = config(
        "master_keys:
  - { name: all, key: aaaaaaaaaaaaaaaa }
  - { name: some, key: bbbbbbbbbbbbbbbb, allowed_models: [a, 'b*'], is_enabled: false, metadata: { team: ml } }
  - { name: none, key: cccccccccccccccc, allowed_models: [], expires_at: 2030-01-01T00:00:00Z }
",
    );
    let keys: Vec<_> = config
        .master_keys
        .iter()
        .map(|key| (key.name.as_str(), key.allowed_models.iter().map(ModelPattern::as_str).collect(), key.enabled))
        .collect();
    assert_eq!(keys, [("all", vec!["*"], true), ("some", vec!["a", "b*"], false), ("none", vec![], true)]);
    assert_eq!(config.master_keys[2].expires_at.map(jiff::Timestamp::as_second), Some(1_893_456_000));
    assert!(config.master_keys.iter().all(|key| key.limits.is_unlimited()));
}

#[test]
fn limits_are_what_is_written() {
    let config = config(
        "master_keys:
  - name: all
    key: aaaaaaaaaaaaaaaa
    rate_limit: { requests_per_second: 5, burst_size: 7, requests_per_minute: 100, limit: 9, period_seconds: 3600,
                  tokens_per_minute: 1000, max_concurrent: 3 }
    budget: { usd: 1.5, period: month }
providers:
  - { name: a, max_in_flight: 4, model_mapping: { m: { input_cost_per_1k_tokens: 0.003, output_cost_per_million_tokens: 15 } } }
server: { max_in_flight: 8, queue: { size: 2, timeout: 300ms } }
",
    );
    let limits = &config.master_keys[0].limits;
    let quotas: Vec<_> =
        limits.requests.iter().map(|quota| (quota.limit(), quota.period().as_secs(), quota.burst())).collect();
    assert_eq!(quotas, [(5, 1, 7), (100, 60, 100), (9, 3600, 9)]);
    assert_eq!(limits.tokens.map(|quota| (quota.limit(), quota.period().as_secs())), Some((1000, 60)));
    assert_eq!((limits.max_concurrent, limits.budget.map(|budget| budget.usd())), (Some(3), Some(1.5)));
    assert_eq!(config.providers[0].max_in_flight, Some(4));
    assert_eq!(config.providers[0].model_mapping[0].price, Price { input: 3_000_000, output: 15_000_000 });
    assert_eq!((config.server.max_in_flight, config.server.queue.size), (8, 2));
}

#[test]
fn limits_that_make_no_sense_are_refused_where_they_stand() {
    for (written, expected) in [
        ("rate_limit: { requests_per_second: -1 }", "rate_limit.requests_per_second: found `-1`"),
        ("rate_limit: { requests_per_second: 1e99 }", "rate_limit.requests_per_second: found `1e99`"),
        ("rate_limit: { requests_per_second: 99999999999999999999 }", "rate_limit.requests_per_second: found `9999"),
        ("rate_limit: { requests_per_second: 2000000 }", "rate_limit.requests_per_second: must be at most 1000000"),
        ("rate_limit: { burst_size: 4 }", "rate_limit.burst_size: is a part of requests_per_second"),
        ("rate_limit: { period_seconds: 4 }", "rate_limit.period_seconds: is the period of limit"),
        ("rate_limit: { tokens_per_second: 4 }", "rate_limit.tokens_per_second: unknown key"),
        ("budget: { usd: -1, period: day }", "budget.usd: found `-1`"),
        ("budget: { usd: 2e9, period: day }", "budget.usd: must be a number of dollars from 0 to 1000000000"),
        ("budget: { usd: 1e-12, period: day }", "budget.usd: must be 0, which blocks, or at least a billionth"),
    ] {
        let yaml = format!("master_keys: [{{ name: a, key: aaaaaaaaaaaaaaaa, {written} }}]");
        let errors = Config::from_yaml(&yaml).unwrap_err().to_string();
        assert!(errors.contains(&format!("master_keys[0].{expected}")), "{written}: {errors}");
        assert!(errors.ends_with("1 error in the configuration"), "{written}: {errors}");
    }
}

#[test]
fn aliases_and_merge_keys_are_plain_yaml() {
    let config = config(
        "providers:
  - &first { name: a, weight: 3, headers: &h { x-a: '1' } }
  - { <<: *first, name: b }
  - { name: c, headers: *h }
",
    );
    let providers: Vec<_> = config
        .providers
        .iter()
        .map(|provider| (provider.name.as_str(), provider.weight, provider.headers.len()))
        .collect();
    assert_eq!(providers, [("a", 3, 1), ("b", 3, 1), ("c", 1, 1)]);
}

#[test]
fn fallbacks_may_be_anything_that_is_served() {
    for yaml in [
        "providers: [{ name: a }]\nmodels: { m: { fallback_models: [whatever] } }",
        "providers: [{ name: a, model_mapping: ['x-*', m, later] }]\nmodels: { m: { fallback_models: [x-1, later] }, later: }",
        "providers: [{ name: a, model_mapping: [x, 'y-*', m] }]\nmodels: { m: { fallback_models: [a/y-1, P/x] } }\nprovider_suffix: P/",
    ] {
        assert!(!config(yaml).models[0].fallback_models.is_empty(), "{yaml}");
    }
}

#[test]
fn a_thousand_providers_resolve() {
    let providers = (0..1_000).fold(String::from("providers:\n"), |yaml, index| {
        yaml + &format!("  - {{ name: p{index}, api_base: 'https://h{index}.example/v1', api_key: k, model_mapping: {{ m{index}: '*' }} }}\n")
    });
    assert_eq!(config(&providers).providers.len(), 1_000);
}

#[test]
fn doubtful_files_load_with_warnings() {
    let directory = tempfile::TempDir::new().unwrap();
    let warnings = |yaml: &str| {
        std::fs::write(directory.path().join("config.yaml"), yaml).unwrap();
        let working_directory = directory.path().to_owned();
        gateway_config::load(
            &gateway_config::Sources { working_directory, ..Default::default() },
            &gateway_config::Vocabulary::default(),
        )
        .unwrap()
        .warnings
    };
    for (yaml, expected) in [
        ("auth: none\nadmin: { key: 0123456789ab }", "admin.key: the key has 12 characters"),
        ("auth: none\nmaster_keys: [{ name: a, key: aaaaaaaaaaaaaaaa }]", "keys are configured, but"),
        ("master_keys: [{ name: a, key: aaaaaaaaaaaaaaa }]", "master_keys[0].key: the key is short"),
        ("master_keys: [{ name: a, key: aaaaaaaaaaaaaaaa, enabled: false }]", "callers need a key and none is enabled"),
        (
            "auth: none\nproviders: [{ name: a, enabled: false }]\nmodels: { m: { targets: [{ provider: a }] } }",
            "models.m.targets: every target is at a disabled provider",
        ),
        (
            "auth: none\nproviders: [{ name: a, enabled: false, model_mapping: [m] }]\nmodels: { m: }",
            "models.m: no enabled provider serves this name",
        ),
        (
            "auth: none\nproviders: [{ name: a, model_mapping: [m] }, { name: b, enabled: false, model_mapping: ['n*'] }]\n\
             models: { m: { fallback_models: [n] } }",
            "models.m.fallback_models[0]: only a disabled provider serves this name",
        ),
        (
            "auth: none\nproviders: [{ name: a }]\nmodels: { m: { targets: [{ provider: a }, { provider: a, model: n, priority: 2 }] } }",
            "models.m.targets[1].priority: targets are ordered by priority only under `balance: priority`; this model's is `weighted`",
        ),
        (
            "auth: none\nproviders: [{ name: a }]\nmodels: { m: { targets: [{ provider: a }], hedge: { after: p95 } } }",
            "models.m.hedge: without effect",
        ),
    ] {
        let warnings = warnings(yaml);
        assert!(matches!(&warnings[..], [one] if one.starts_with(expected)), "{yaml}: {warnings:?}");
    }
    assert!(warnings("auth: none\nadmin: { key: '' }").is_empty());
}
