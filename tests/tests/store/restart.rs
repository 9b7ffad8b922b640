//! What a gateway still knows that ends, in whatever way, and starts again while its store is away.

use gateway_testing::Script;
use gateway_tests::site::{Node, Site, bad, good, verdict};
use serde_json::json;

use crate::outage::until_store_is;
use crate::remote::Remote;

/// Each token of an answer costs a dollar.
const PRICED: &str = r#"
server: { state_dir: . }
providers:
  - name: main
    api_base: "${UPSTREAM}"
    model_mapping: { gpt-4o: { mapped_model: dear-1, output_cost_per_million_tokens: 1000000 } }
retry: { max_retries: 0 }
"#;

async fn priced(remote: &Remote) -> Site {
    let site = Site::of(PRICED).await.with("DB_URL", &remote.url);
    let usage = r#"{"usage":{"prompt_tokens":1,"completion_tokens":40,"total_tokens":41}}"#;
    site.upstream.otherwise(move |_| Script::json(200, usage));
    site
}

/// Makes a call that costs 40 dollars.
async fn spend(node: &Node, key: &str) -> (u16, String) {
    verdict(&node.call_with(key, r#"{"model":"gpt-4o","max_tokens":40}"#).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_stays_revoked_when_the_process_is_killed() {
    let Some(mut remote) = Remote::start().await else { return };
    let site = priced(&remote).await;
    let mut node = site.start();
    let mut made = Vec::new();
    for id in ["kept", "deleted", "disabled", "rotated"] {
        made.push(node.admin().create(json!({ "id": id, "name": id })).await.key);
    }
    node.admin().change("disabled", json!({ "is_enabled": false })).await;
    let newer = node.admin().rotate("rotated", 0).await;
    node.admin().remove("deleted").await;
    node.process.kill().unwrap();
    remote.stop();

    let node = site.start();
    until_store_is(&node, "unreachable, serving the keys of the last good snapshot").await;
    let mut verdicts = Vec::new();
    for key in &made {
        verdicts.push(node.verdict(key).await);
    }
    let unknown = bad(503, "store_unavailable");
    assert_eq!(verdicts, [good(), unknown.clone(), bad(401, "disabled_api_key"), unknown]);
    assert_eq!(node.verdict(&newer.key).await, good());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spent_stays_spent_while_the_store_is_away() {
    const SPENT: &str = "insufficient_quota";
    let Some(mut remote) = Remote::start().await else { return };
    let site = priced(&remote).await;
    let node = site.start();
    let budget = |usd: u32| json!({ "name": "x", "budget": { "usd": usd, "period": "total" } });
    let (spent, open) = (node.admin().create(budget(40)).await, node.admin().create(budget(120)).await);
    assert_eq!((spend(&node, &spent.key).await, spend(&node, &open.key).await), (good(), good()));
    node.process.stop();
    remote.stop();

    // Nothing is given back, however often it starts, and what is spent meanwhile counts.
    let node = site.start();
    assert_eq!(spend(&node, &spent.key).await, bad(429, SPENT));
    assert_eq!(spend(&node, &open.key).await, good());
    let log = node.process.stop().join("\n");
    assert!(log.contains("the next start will do that"), "{log}");
    let node = site.start();
    assert_eq!(spend(&node, &spent.key).await, bad(429, SPENT));
    assert_eq!(spend(&node, &open.key).await, good());
    assert_eq!(spend(&node, &open.key).await, bad(429, SPENT));
    node.process.stop();

    // It is recorded when the store is back, for a node that has not heard of it.
    remote.start_again();
    let node = site.start();
    assert_eq!(spend(&node, &open.key).await, bad(429, SPENT));
    node.process.stop();
    let other = site.start_elsewhere();
    assert_eq!((spend(&other, &spent.key).await, spend(&other, &open.key).await), (bad(429, SPENT), bad(429, SPENT)));
}
