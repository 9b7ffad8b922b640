//! What the settings for the day when an upstream fails resolve to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use gateway_config::{Affinity, Config, Hedge, HedgeDelay, Vocabulary};
use gateway_resilience::{Backoff, BreakerPolicy, BudgetPolicy, RetryPolicy};
use gateway_secret::Secret;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn config(yaml: &str) -> Config {
    let vocabulary = Vocabulary { policies: vec!["weighted", "priority"], ..Vocabulary::default() };
    Config::from_yaml_with(yaml, &vocabulary).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn silence_means_the_policies_own_defaults() {
    for yaml in [
        "auth: none",
        "retry:\ncircuit_breaker:",
        "retry: {}\ncircuit_breaker: {}",
        "retry: { budget: {}, max_retries: }",
        "retry_config: {}",
    ] {
        let config = config(yaml);
        assert_eq!(config.retry, RetryPolicy::default(), "{yaml}");
        assert_eq!(config.retry_budget, BudgetPolicy::default(), "{yaml}");
        assert_eq!(config.circuit_breaker, BreakerPolicy::default(), "{yaml}");
    }
}

#[test]
fn every_setting_reaches_its_own_field() {
    let config = config(
        "retry: { max_retries: 7, base_delay: 11ms, max_delay: 13ms, max_retry_after: 17ms, budget: { ratio: 0.19, min_per_second: 0.5 } }
circuit_breaker: { consecutive_failures: 23, failure_ratio: 0.29, min_requests: 31, window: 37ms, open: 41ms, max_open: 43ms, half_open_probes: 47 }
",
    );
    let backoff = Backoff { base: ms(11), max: ms(13) };
    assert_eq!(config.retry, RetryPolicy { max_retries: 7, backoff, max_retry_after: ms(17) });
    assert_eq!(config.retry_budget, BudgetPolicy { ratio: 0.19, min_per_second: 0.5 });
    let expected = BreakerPolicy {
        consecutive_failures: 23,
        failure_ratio: 0.29,
        min_requests: 31,
        window: ms(37),
        open: ms(41),
        max_open: ms(43),
        half_open_probes: 47,
    };
    assert_eq!(config.circuit_breaker, expected);
}

#[test]
fn older_names_mean_the_same() {
    let older = config(
        "retry_config: { base_delay_ms: 300, max_delay_secs: 4, max_retries: 0 }\ncircuit_breaker: { open_secs: 9 }",
    );
    let current = config("retry: { base_delay: 300ms, max_delay: 4s, max_retries: 0 }\ncircuit_breaker: { open: 9s }");
    assert_eq!(older.retry, current.retry);
    assert_eq!(older.retry.backoff, Backoff { base: ms(300), max: ms(4_000) });
    assert_eq!((older.circuit_breaker.open, older.retry.max_retries), (ms(9_000), 0));
}

#[test]
fn limits_are_allowed_values() {
    let config = config(
        "retry: { max_retries: 20, base_delay: 5s, max_delay: 5s, max_retry_after: 0s, budget: { ratio: 0, min_per_second: 0 } }
circuit_breaker: { failure_ratio: 1, open: 10m, max_open: 10m }
",
    );
    assert_eq!(config.retry.backoff, Backoff { base: ms(5_000), max: ms(5_000) });
    assert_eq!(config.retry_budget, BudgetPolicy { ratio: 0.0, min_per_second: 0.0 });
    assert_eq!(config.circuit_breaker.open, config.circuit_breaker.max_open);
    let none = self::config("retry: { base_delay: 0s, max_delay: 0s }").retry.backoff;
    assert_eq!(none, Backoff { base: Duration::ZERO, max: Duration::ZERO });
}

#[test]
fn a_model_says_nothing_or_its_own() {
    let config = config(
        "retry: { max_retries: 9 }
provider_suffix: Proxy
providers: [{ name: a }]
models:
  silent:
  own: { max_retries: 0, fallback_models: [Proxy/silent, a/own, Proxied/x, other], affinity: session }
  other: { fallback_models: [], affinity: prompt_prefix }
",
    );
    let seen: Vec<_> =
        config.models.iter().map(|model| (model.max_retries, model.fallback_models.len(), model.affinity)).collect();
    let expected = [(None, 0, None), (Some(0), 4, Some(Affinity::Session)), (None, 0, Some(Affinity::PromptPrefix))];
    assert_eq!(seen, expected);
    assert_eq!(config.models[1].fallback_models, ["silent", "a/own", "Proxied/x", "other"]);
    assert_eq!(config.models[1].hedge, None);
}

#[test]
fn a_hedge_starts_after_a_time_or_a_percentile() {
    for (written, expected) in [
        ("{ after: 800ms }", Hedge { after: HedgeDelay::Fixed(ms(800)), max: 1 }),
        ("{ after: 1m, max: 3 }", Hedge { after: HedgeDelay::Fixed(ms(60_000)), max: 3 }),
        ("{ after: p50 }", Hedge { after: HedgeDelay::Quantile(0.5), max: 1 }),
        ("{ after: p95, max: 2 }", Hedge { after: HedgeDelay::Quantile(0.95), max: 2 }),
        ("{ after: p99 }", Hedge { after: HedgeDelay::Quantile(0.99), max: 1 }),
    ] {
        let yaml = format!("providers: [{{ name: a }}]\nmodels: {{ m: {{ hedge: {written} }} }}");
        assert_eq!(config(&yaml).models[0].hedge, Some(expected), "{written}");
    }
}

#[test]
fn targets_have_tiers() {
    let config = config(
        "providers: [{ name: a }]
models:
  m: { balance: priority, targets: [{ provider: a }, { provider: a, model: b, priority: 0 }, { provider: a, model: c, priority: 1000 }] }
  inline: { endpoint: 'https://example.com/v1/chat/completions' }
",
    );
    let tiers = |index: usize| config.models[index].targets.iter().map(|target| target.priority).collect::<Vec<_>>();
    assert_eq!((tiers(0), tiers(1)), (vec![1, 0, 1000], vec![1]));
    assert_eq!(config.models[0].balance, "priority");
}

#[test]
fn a_pool_of_keys_keeps_its_order() {
    let config = config(
        "providers: [{ name: a, api_keys: [second-best, best] }, { name: b, api_keys: [] }]
models: { m: { endpoint: 'https://example.com/v1/chat/completions', api_keys: [k1, k2] } }
",
    );
    let keys = |index: usize| config.providers[index].api_keys.iter().map(Secret::expose).collect::<Vec<_>>();
    assert_eq!((keys(0), keys(1), keys(2)), (vec!["second-best", "best"], vec![], vec!["k1", "k2"]));
}
