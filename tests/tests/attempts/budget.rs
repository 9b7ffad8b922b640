//! What a provider's budget does not cover is not tried, whatever else would allow it.

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
async fn without_a_budget_there_is_one_attempt() {
    let budget =
        "retry: { max_retries: 5, base_delay: 1ms, max_delay: 1ms, budget: { ratio: 0, min_per_second: 0 } }\n";
    let stage = Stage::of(&[EVERY_WAY, budget].concat()).await;
    for (status, wait, code, outcome) in [
        (500, "0", "upstream_error", "server_error"),
        (503, "0", "upstream_error", "overloaded"),
        (429, "0", "upstream_error", "rate_limited"),
        (404, "0", "upstream_error", "model_missing"),
        (401, "0", "upstream_credentials_rejected", "credentials_rejected"),
    ] {
        let number = stage.upstream.requests().len();
        stage.upstream.push(answer_with(status, &[("retry-after", wait)], "{}"));
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, code), "{status}");
        assert_eq!(trail::of_answer(&answer), [format!("main/gpt-4o:{outcome}:{status}")]);
        assert_eq!((stage.upstream.requests().len(), stage.other.connections()), (number + 1, 0), "{status}");
    }
    stage.upstream.push(Script::json(200, "{}"));
    assert_eq!(stage.post(CHAT, CALL).await.status, 200, "first attempts need none");
}

/// The budget belongs to the provider that would get the retry, and its calls share it. Here it is one in ten seconds; a
/// test that takes longer than that would see another.
#[tokio::test]
async fn a_budget_is_used_up() {
    let budget =
        "retry: { max_retries: 5, base_delay: 1ms, max_delay: 1ms, budget: { ratio: 0, min_per_second: 0.1 } }\n";
    let stage = Stage::of(&[EVERY_WAY, budget].concat()).await;
    let (main, other) = ("main/gpt-4o:transport", "other/gpt-4o:transport");
    for expected in [&[main, other, main][..], &[main], &[main]] {
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!(answer.status, 502);
        assert_eq!(trail::of_answer(&answer), expected);
    }
}
