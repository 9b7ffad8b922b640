//! A provider whose budget is spent is not asked again by a call that has asked it before, whatever else would allow it.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, Stage, answer_with};
use gateway_tests::trail;

/// Every way to a second attempt: another key, another target, another round, another model.
const EVERY_WAY: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_keys: [sk-budget-1, sk-budget-2], model_mapping: [gpt-4o] }
  - { name: other, api_base: "${OTHER}", model_mapping: [gpt-4o, mini] }
models:
  gpt-4o:
    balance: priority
    targets: [ { provider: main, priority: 1 }, { provider: other, priority: 2 } ]
    fallback_models: [mini]
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
"#;

const CALL: &str = r#"{"model":"gpt-4o"}"#;

#[tokio::test]
async fn without_a_budget_no_provider_is_asked_again() {
    let budget =
        "retry: { max_retries: 5, base_delay: 1ms, max_delay: 1ms, budget: { ratio: 0, min_per_second: 0 } }\n";
    let other = "other/gpt-4o:transport";
    for (status, outcome, elsewhere) in [
        (500, "server_error", &[other][..]),
        (503, "overloaded", &[other]),
        // There is no better target at this provider, and the fallback is at the other.
        (404, "model_missing", &[other]),
        // Another key is another way.
        (429, "rate_limited", &[other, "main/gpt-4o:success:200"]),
        (401, "credentials_rejected", &[other, "main/gpt-4o:success:200"]),
    ] {
        let stage = Stage::of(&[EVERY_WAY, budget].concat()).await;
        stage.upstream.push(answer_with(status, &[], "{}"));
        stage.upstream.push(Script::json(200, "{}"));
        let first = format!("main/gpt-4o:{outcome}:{status}");
        let expected: Vec<_> = [&*first].into_iter().chain(elsewhere.iter().copied()).collect();
        assert_eq!(trail::of_answer(&stage.post(CHAT, CALL).await), expected, "{status}");
    }
}

/// The budget belongs to the provider that would be asked again, and its calls share it. Here it is one in ten seconds; a
/// test that takes longer than that would see another.
#[tokio::test]
async fn a_budget_is_used_up() {
    let budget =
        "retry: { max_retries: 5, base_delay: 1ms, max_delay: 1ms, budget: { ratio: 0, min_per_second: 0.1 } }\n";
    let stage = Stage::of(&[EVERY_WAY, budget].concat()).await;
    let (main, other) = ("main/gpt-4o:transport", "other/gpt-4o:transport");
    for expected in [&[main, other, main, other][..], &[main, other], &[main, other]] {
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!(answer.status, 502);
        assert_eq!(trail::of_answer(&answer), expected);
    }
}

/// A wait that ends in a refusal would hold up everybody for nothing in the middle of an outage.
#[tokio::test]
async fn what_the_budget_refuses_is_not_waited_for() {
    let budget = "retry: { max_retries: 5, base_delay: 1h, max_delay: 1h, budget: { ratio: 0, min_per_second: 0 } }\n";
    let stage = Stage::of(&[EVERY_WAY, budget].concat()).await;
    assert_eq!(stage.post(CHAT, CALL).await.status, 502);
}

/// A fallback that is fit for all calls gets them all: first visits need no budget.
#[tokio::test]
async fn a_healthy_fallback_gets_every_call() {
    let budget = "retry: { max_retries: 0, budget: { ratio: 0, min_per_second: 0 } }\n";
    let too_long = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
    for (status, body) in [(500, "{}"), (429, "{}"), (404, "{}"), (400, too_long)] {
        let stage = Stage::of(&[EVERY_WAY, budget].concat()).await;
        stage.other.otherwise(|_| Script::json(200, "{}"));
        for _ in 0..20 {
            stage.upstream.push(answer_with(status, &[], body));
            assert_eq!(stage.post(CHAT, CALL).await.status, 200, "{status}");
        }
    }
}
