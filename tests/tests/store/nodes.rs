//! Several gateways on one store.

use gateway_tests::database::Database;
use gateway_tests::patience::until;
use gateway_tests::promptness::Promptness;
use gateway_tests::site::{Node, Site, bad, good};
use serde_json::json;
use tokio::task::block_in_place;

/// How often each change is made.
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_on_one_node_holds_on_the_other_within_a_second() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let (one, other) = (site.start(), site.start_elsewhere());
        let named = |what| Promptness::of(format!("{}: {what} elsewhere", database.name()));
        let [mut created, mut changed, mut rotated, mut removed] =
            ["created", "changed", "rotated", "revoked"].map(named);
        for round in 0..ROUNDS {
            // They take turns.
            let (here, there) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
            let made = here.admin().create(json!({ "id": "team", "name": "team" })).await;
            created.measure(async || there.verdict(&made.key).await == good()).await;
            here.admin().change("team", json!({ "allowed_models": [] })).await;
            changed.measure(async || there.verdict(&made.key).await == bad(403, "model_not_allowed")).await;
            // What is changed there is not changed back here.
            there.admin().change("team", json!({ "metadata": { "round": round } })).await;
            let newer = here.admin().rotate("team", 0).await;
            rotated.measure(async || there.verdict(&made.key).await == bad(401, "invalid_api_key")).await;
            assert_eq!(there.verdict(&newer.key).await, bad(403, "model_not_allowed"));
            let [mut there_found, mut here_found] = [there.admin().find("team").await, here.admin().find("team").await];
            for found in [&mut there_found, &mut here_found] {
                // It may be noted just now.
                found["last_used_at"].take();
            }
            assert_eq!(there_found, here_found);
            here.admin().remove("team").await;
            removed.measure(async || there.verdict(&newer.key).await == bad(401, "invalid_api_key")).await;
            assert_eq!(here.verdict(&newer.key).await, bad(401, "invalid_api_key"));
        }
        for promptness in [created, changed, rotated, removed] {
            promptness.assert_kept();
        }
        assert_eq!(one.admin().audit().await.len(), 5 * ROUNDS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_on_an_empty_database_all_serve() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let nodes: Vec<Node> = block_in_place(|| {
            std::thread::scope(|scope| {
                let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| site.start_elsewhere())).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            })
        });
        for (number, node) in nodes.iter().enumerate() {
            let (status, _) = node.readiness().await;
            assert_eq!(status, 200, "{}: node {number}", database.name());
            let made = node.admin().create(json!({ "id": format!("k{number}"), "name": "x" })).await;
            for other in &nodes {
                until("a key of another node", async || (other.verdict(&made.key).await == good()).then_some(())).await;
            }
        }
        assert_eq!(site.run(&["migrate", "version"]).stdout, "version 4; this program knows 4\n");
    }
}

/// Whoever spends on one node has spent it on all. That takes some seconds: money is counted, not rationed, between nodes.
#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_spent_on_all_nodes_together() {
    const PRICED: &str = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    model_mapping: { gpt-4o: { mapped_model: dear-1, output_cost_per_million_tokens: 1000000 } }
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
"#;
    for database in Database::each() {
        let site = Site::of(PRICED).await.with("DB_URL", &database.url());
        site.upstream.otherwise(|_| {
            let usage = r#"{"usage":{"prompt_tokens":1,"completion_tokens":40,"total_tokens":41}}"#;
            gateway_testing::Script::json(200, usage)
        });
        let (one, other) = (site.start(), site.start_elsewhere());
        let budget = json!({ "usd": 100.0, "period": "total" });
        let made = one.admin().create(json!({ "name": "team", "budget": budget })).await;
        let ask = r#"{"model":"gpt-4o","max_tokens":40}"#;
        for _ in 0..2 {
            assert_eq!(one.call_with(&made.key, ask).await.status, 200, "{}", database.name());
        }
        let body = r#"{"model":"gpt-4o","max_tokens":21}"#;
        let spent = async || {
            let answer = other.call_with(&made.key, body).await;
            // It may be that the other node has not heard of the key yet.
            (answer.status == 429).then(|| assert_eq!(answer.error_code(), "insufficient_quota"))
        };
        // Not by calls that go through, which would spend it.
        site.upstream.otherwise(|_| gateway_testing::Script::json(500, "{}"));
        let ((), took) = until("the other node to know what is spent", spent).await;
        println!("{}: what was spent was known elsewhere after {took:?}", database.name());
    }
}
