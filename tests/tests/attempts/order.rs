//! Another target of the same model at once; the same targets again after a backoff; the next model.

use gateway_testing::{Answer, Script};
use gateway_tests::stage::{CHAT, Stage};
use gateway_tests::trail;

/// Two models on two targets each, the first in rank first.
const PAIRS: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: "${PROVIDER_KEY}", model_mapping: [first, second] }
  - { name: other, api_base: "${OTHER}", api_key: "${PROVIDER_KEY}", model_mapping: [first, second] }
models:
  first:
    balance: priority
    targets: [ { provider: main, priority: 1 }, { provider: other, priority: 2 } ]
    fallback_models: [second]
  second:
    balance: priority
    targets: [ { provider: other, priority: 1 }, { provider: main, priority: 2 } ]
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
"#;

const CALL: &str = r#"{"model":"first"}"#;

async fn pairs(retry: &str) -> Stage {
    Stage::of(&format!("{PAIRS}retry: {retry}\n")).await
}

/// The trail without the models' outcomes: `provider/model`.
fn places(answer: &Answer) -> Vec<String> {
    trail::of_answer(answer).iter().map(|it| it.split(':').next().unwrap().to_owned()).collect()
}

/// An upstream without a script closes the connection: every attempt fails in the same way.
#[tokio::test]
async fn targets_then_rounds_then_models() {
    let stage = pairs("{ max_retries: 4, base_delay: 1ms, max_delay: 1ms }").await;
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_error"));
    let rounds = ["main/first", "other/first", "main/first", "other/first", "main/first"];
    let next = ["other/second", "main/second", "other/second", "main/second", "other/second"];
    assert_eq!(places(&answer), [rounds, next].concat());
    assert_eq!(answer.header("x-gateway-attempts"), "10");
    assert_eq!((stage.upstream.requests().len(), stage.other.requests().len()), (5, 5));
}

/// Of all attempts, in their order, the first that is answered is the last.
#[tokio::test]
async fn the_first_answer_ends_the_search() {
    let all = [("main", "first"), ("other", "first"), ("main", "first"), ("other", "second"), ("main", "second")];
    for failures in 0..all.len() {
        let stage = pairs("{ max_retries: 2, base_delay: 1ms, max_delay: 1ms }").await;
        for (number, (provider, _)) in all.iter().take(failures + 1).enumerate() {
            let upstream = if *provider == "main" { &stage.upstream } else { &stage.other };
            upstream.push(if number < failures { Script::json(500, "{}") } else { Script::json(200, "{}") });
        }
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!(answer.status, 200, "after {failures} failures: {}", answer.text());
        let expected = all.iter().take(failures + 1).enumerate().map(|(number, (provider, model))| {
            let outcome = if number < failures { "server_error:500" } else { "success:200" };
            format!("{provider}/{model}:{outcome}")
        });
        assert_eq!(trail::of_answer(&answer), expected.collect::<Vec<_>>());
        let (provider, model) = all[failures];
        assert_eq!((answer.header("x-gateway-provider"), answer.header("x-gateway-model")), (provider, model));
        assert_eq!(answer.json()["gateway"]["model"], model);
        let line = stage.access_line(answer.header("x-request-id"));
        assert_eq!((&line["model"], &line["provider"]), (&"first".into(), &provider.into()), "{line}");
    }
}

/// A backoff of up to a day is longer than these calls may take, so whatever was tried was tried without one.
#[tokio::test]
async fn other_targets_and_other_models_are_tried_without_a_wait() {
    let stage = pairs("{ max_retries: 9, base_delay: 24h, max_delay: 24h }").await;
    let answer = stage.post(CHAT, r#"{"model":"first","gateway":{"timeout_ms":5000}}"#).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_error"), "no time ran out");
    assert_eq!(places(&answer), ["main/first", "other/first", "other/second", "main/second"]);
}

/// What the model says counts before what all say, and callers can only take from it.
#[tokio::test]
async fn retries_have_a_number() {
    let general = |number: u32| format!("retry: {{ max_retries: {number}, base_delay: 1ms, max_delay: 1ms }}\n");
    for (of_all, of_model, asked, attempts) in [
        (None, None, None, 3),
        (Some(0), None, None, 1),
        (Some(1), None, None, 2),
        (Some(5), None, None, 6),
        (Some(0), Some(2), None, 3),
        (Some(5), Some(0), None, 1),
        (Some(5), None, Some(2), 3),
        (Some(5), None, Some(0), 1),
        (Some(1), None, Some(9), 2),
        (Some(0), None, Some(9), 1),
        (Some(1), Some(3), Some(2), 3),
        (Some(5), Some(1), Some(4), 2),
    ] {
        let row = format!("{of_all:?}, {of_model:?}, {asked:?}");
        // The default number with a shorter wait: the keys of `retry` stand on their own.
        let retry = of_all.map_or_else(|| "retry: { base_delay: 1ms, max_delay: 1ms }\n".to_owned(), general);
        let model = of_model.map(|number| format!("models: {{ gpt-4o: {{ max_retries: {number} }} }}\n"));
        let breaker = "circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }\n";
        let stage = Stage::with(&[&retry, &*model.unwrap_or_default(), breaker].concat()).await;
        let asked = asked.map(|number: u32| format!(r#","gateway":{{"max_retries":{number}}}"#)).unwrap_or_default();
        let answer = stage.post(CHAT, format!(r#"{{"model":"gpt-4o"{asked}}}"#)).await;
        assert_eq!(answer.status, 502, "{row}");
        assert_eq!(trail::of_answer(&answer), vec!["main/gpt-4o:transport"; attempts], "{row}");
        assert_eq!(stage.upstream.requests().len(), attempts, "{row}");
        assert!(stage.upstream.requests().iter().all(|it| &*it.body == br#"{"model":"gpt-4o-2024"}"#), "{row}");
    }
}

/// Each model of a list has its own number.
#[tokio::test]
async fn retries_are_counted_for_each_model() {
    let config = PAIRS.replace("  second:\n", "  second:\n    max_retries: 0\n");
    let stage = Stage::of(&format!("{config}retry: {{ max_retries: 2, base_delay: 1ms, max_delay: 1ms }}\n")).await;
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!(places(&answer), ["main/first", "other/first", "main/first", "other/second"]);
    let answer = stage.post(CHAT, r#"{"model":"first","gateway":{"max_retries":1}}"#).await;
    assert_eq!(places(&answer), ["main/first", "other/first", "other/second"]);
}
