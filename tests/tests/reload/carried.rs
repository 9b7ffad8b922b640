//! What a reload leaves as it is: buckets, breakers and connections of whatever did not change.

use gateway_testing::Script;
use gateway_tests::edited::Scene;
use gateway_tests::site::{bad, good, verdict};
use gateway_tests::stage::CALLER_KEY;

/// Two providers, of which `weak` has a breaker that opens at once; a key of four requests in a long time.
fn config(weak: bool, weight: u32) -> String {
    let provider =
        if weak { "  - { name: weak, api_base: \"${WEAK}\", model_mapping: { frail: frail } }\n" } else { "" };
    format!(
        "providers:\n  - {{ name: main, api_base: \"${{UPSTREAM}}\", weight: {weight}, model_mapping: {{ gpt-4o: gpt-4o-2024 }} }}\n\
         {provider}retry: {{ max_retries: 0 }}\n\
         server: {{ workers: 1 }}\n\
         circuit_breaker: {{ consecutive_failures: 2, open: 300s }}\n\
         master_keys:\n  - {{ name: team, key: \"${{CALLER_KEY}}\", rate_limit: {{ limit: 4, period_seconds: 3600 }} }}\n  \
         - {{ name: free, key: {FREE} }}\n"
    )
}

const FREE: &str = "sk-free-b4c17e49a3b5d0f6";

#[tokio::test]
async fn a_bucket_half_spent_and_a_breaker_that_is_open_stay_so() {
    let weak = gateway_testing::FakeUpstream::start([]).await.unwrap();
    weak.otherwise(|_| Script::json(500, "{}"));
    let site = gateway_tests::site::Site::of(&config(true, 1)).await.with("WEAK", &weak.api_base());
    let node = site.start();
    let scene = Scene { site, node };
    let frail = async || verdict(&scene.node.call_with(FREE, r#"{"model":"frail"}"#).await).0;
    let breaker = async || scene.breaker("weak").await;
    let spend = async || scene.node.verdict(CALLER_KEY).await;
    assert_eq!((spend().await, spend().await), (good(), good()));
    for _ in 0..2 {
        assert_eq!(frail().await, 502);
    }
    assert_eq!(breaker().await, "open");
    let connections = scene.site.upstream.connections();

    for weight in 2..6 {
        scene.replace(config(true, weight));
        scene.version_is(u64::from(weight)).await;
        assert_eq!(breaker().await, "open");
    }
    assert_eq!((spend().await, spend().await), (good(), good()));
    assert_eq!(spend().await, bad(429, "rate_limit_exceeded"));
    assert_eq!(scene.site.upstream.connections(), connections, "connections are used on");

    // Taken away and added again, a provider is a new one.
    scene.replace(config(false, 5));
    scene.version_is(6).await;
    assert_eq!(frail().await, 404);
    scene.replace(config(true, 5));
    scene.version_is(7).await;
    assert_eq!(breaker().await, "closed");
    assert_eq!(frail().await, 502);
    assert_eq!(spend().await, bad(429, "rate_limit_exceeded"), "the bucket is not");
}
