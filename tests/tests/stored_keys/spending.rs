//! Budgets, which outlive the process.

use gateway_testing::Script;
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site, bad, good};
use gateway_tests::stage::CALLER_KEY;
use serde_json::{Value, json};

/// A token of an answer is a dollar.
const PRICED: &str = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    model_mapping:
      dear: { mapped_model: dear-1, output_cost_per_million_tokens: 1000000 }
retry: { max_retries: 0 }
master_keys:
  - { name: filed, key: "${CALLER_KEY}", budget: { usd: 100, period: total } }
"#;

fn ask(dollars: u64) -> String {
    format!(r#"{{"model":"dear","max_tokens":{dollars}}}"#)
}

/// Spends so much and waits until it is charged.
async fn spend(site: &Site, node: &Node, key: &str, dollars: u64) {
    let usage = json!({ "prompt_tokens": 1, "completion_tokens": dollars, "total_tokens": dollars + 1 });
    site.upstream.push(Script::json(200, json!({ "choices": [], "usage": usage }).to_string()));
    let answer = node.call_with(key, ask(dollars)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    node.process.log_line(|line| line.contains(answer.header("x-request-id")));
}

/// Whether more than so much is left. Changes nothing if not.
async fn has_more_than(node: &Node, key: &str, dollars: u64) -> bool {
    let answer = node.call_with(key, ask(dollars + 1)).await;
    assert!(answer.status == 200 || answer.error_code() == "insufficient_quota", "{}", answer.text());
    answer.status == 200
}

async fn assert_left(site: &Site, node: &Node, key: &str, dollars: u64) {
    assert!(!has_more_than(node, key, dollars).await, "more than {dollars} left");
    spend(site, node, key, dollars).await;
    assert!(!has_more_than(node, key, 0).await, "more than {dollars} left");
}

#[tokio::test]
async fn what_is_spent_stays_spent_when_the_gateway_starts_again() {
    let site = Site::of(PRICED).await;
    let node = site.start();
    let mut keys = vec![CALLER_KEY.to_owned()];
    for period in ["total", "month", "day"] {
        let fields = json!({ "id": period, "name": period, "budget": { "usd": 100.0, "period": period } });
        keys.push(node.admin().create(fields).await.key);
    }
    for key in &keys {
        spend(&site, &node, key, 40).await;
    }
    node.process.stop();
    let node = site.start();
    for key in &keys {
        spend(&site, &node, key, 25).await;
    }
    // Nor does a change forget it, nor a new key.
    node.admin().change("total", json!({ "name": "other" })).await;
    keys[1] = node.admin().rotate("total", 0).await.key;
    node.process.stop();
    let node = site.start();
    for key in &keys {
        assert_left(&site, &node, key, 35).await;
    }
}

/// What was spent is written within a second or so, and then no crash forgets it.
#[tokio::test]
async fn what_is_spent_stays_spent_when_the_gateway_dies() {
    let site = Site::of(PRICED).await;
    let mut node = site.start();
    let budget = json!({ "usd": 100.0, "period": "total" });
    let made = node.admin().create(json!({ "name": "team", "budget": budget })).await;
    spend(&site, &node, &made.key, 40).await;
    // Another process reads what is written when it starts.
    let is_written = async || {
        let other = site.start();
        (!has_more_than(&other, &made.key, 60).await).then_some(())
    };
    let ((), took) = until("what was spent to be written", is_written).await;
    println!("what was spent was written after {took:?}");
    node.process.kill().unwrap();
    drop(node);
    let node = site.start();
    assert_left(&site, &node, &made.key, 60).await;
}

/// A key that may spend nothing more is let through again once it may.
#[tokio::test]
async fn a_budget_can_be_raised() {
    let site = Site::of(PRICED).await;
    let node = site.start();
    let budget = |usd: f64| json!({ "budget": { "usd": usd, "period": "total" } });
    let made = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    for (change, expected) in [
        (budget(10.0), good()),
        (budget(10.0), bad(429, "insufficient_quota")),
        (budget(14.0), bad(429, "insufficient_quota")),
        (budget(15.0), good()),
        (budget(16.0), bad(429, "insufficient_quota")),
        (json!({ "budget": Value::Null }), good()),
    ] {
        node.admin().change("team", change.clone()).await;
        let dollars = if change == budget(10.0) { 10 } else { 5 };
        if expected == good() {
            spend(&site, &node, &made.key, dollars).await;
        } else {
            assert!(!has_more_than(&node, &made.key, dollars - 1).await, "{change}");
        }
    }
}
