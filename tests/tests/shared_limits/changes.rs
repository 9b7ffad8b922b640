//! Limits that change while calls run: what is spent stays spent, and while gateways do not agree yet they let through what
//! the more generous one would.

use gateway_testing::RedisServer;
use gateway_tests::clock::now;
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site};
use serde_json::{Value, json};

use super::crowd::Crowd;
use super::load::{Load, Record};
use super::scene::{Scene, asking, calling, turn};

/// So few requests come back that none does in a test.
const PERIOD: u32 = 72_000;

fn limit(limit: u32) -> Value {
    json!({ "rate_limit": { "limit": limit, "period_seconds": PERIOD } })
}

fn is_admitted(record: &Record) -> bool {
    record.status == 200
}

/// Waits until both gateways go by this limit, as far as can be seen from a key that nobody else uses.
async fn both_know(nodes: &[Node], key: &str, limit: u64) {
    for node in nodes {
        let look =
            async || (node.call(key).await.header("x-ratelimit-limit-requests") == limit.to_string()).then_some(());
        until("the change to be known", look).await;
    }
}

/// Waits until nothing was let through for so many calls at each gateway.
async fn is_used_up(load: &Load) {
    let began = now();
    for node in 0..2 {
        let is_refused = |record: &Record| record.node == node && record.status == 429 && record.began > began;
        load.reaches("refusals", 20, is_refused).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spent_stays_spent_when_an_administrator_changes_a_limit() {
    let _turn = turn().await;
    let Some(redis) = RedisServer::start() else { return };
    let site = Site::new().await.with("REDIS_URL", &redis.url()).with("RUST_LOG", "info,access=warn");
    let nodes = [site.start(), site.start()];
    let admin = nodes[0].admin();
    let made = admin.create(json!({ "id": "team", "name": "team", "rate_limit": limit(100)["rate_limit"] })).await;
    // Changed after the other, so whoever knows of this change knows of that.
    let witness =
        admin.create(json!({ "id": "witness", "name": "witness", "rate_limit": limit(1_000)["rate_limit"] })).await;
    both_know(&nodes, &witness.key, 1_000).await;
    let mut load = Load::new();
    let addresses = [nodes[0].process.address(), nodes[1].process.address()];
    load.add(&addresses, 3, "team", &made.key).await;
    load.reaches("the whole limit", 100, is_admitted).await;
    is_used_up(&load).await;
    assert_eq!(load.count(is_admitted), 100);
    let mut marker = 1_000;
    for (to, expected) in [(150, 150), (150, 150), (400, 400), (300, 400)] {
        admin.change("team", limit(to)).await;
        marker += 1;
        admin.change("witness", limit(marker)).await;
        both_know(&nodes, &witness.key, marker.into()).await;
        is_used_up(&load).await;
        println!("{} let through after a change to {to}", load.count(is_admitted));
        assert_eq!(load.count(is_admitted), expected, "changed to {to}");
    }
    // Another kind of limit is a limit too.
    admin
        .change("team", json!({ "rate_limit": { "max_concurrent": 100, "limit": 300, "period_seconds": PERIOD } }))
        .await;
    admin.change("team", json!({ "name": "other" })).await;
    is_used_up(&load).await;
    assert_eq!(load.end().await.iter().filter(|record| is_admitted(record)).count(), 400);
}

/// A new configuration reaches one gateway after the other, and until it has, they do not agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_disagree_let_through_no_more_than_the_more_generous_one() {
    let rows = [
        ("a higher limit", "limit: 20, period_seconds: 72000", "limit: 30, period_seconds: 72000", 30),
        ("a lower limit", "limit: 30, period_seconds: 72000", "limit: 20, period_seconds: 72000", 30),
        ("a longer period", "limit: 20, period_seconds: 36000", "limit: 30, period_seconds: 72000", 30),
        (
            "another limit besides",
            "limit: 30, period_seconds: 72000",
            "limit: 30, period_seconds: 72000, requests_per_minute: 10",
            30,
        ),
    ];
    let mut wrong = Vec::new();
    for (row, old, new, most) in rows {
        let key = |limits: &str| format!("rate_limit: {{ {limits} }}");
        let Some(mut scene) = Scene::empty(1, &[("team", &key(old))], "").await else { return };
        scene.nodes.push(scene.start());
        scene.change(&[("team", &key(new))]);
        scene.nodes.push(scene.start());
        scene.are_acquainted(2).await;
        let mut crowd = Crowd::gather(&scene, 5).await;
        let mut admitted = 0;
        for _ in 0..20 {
            let outcomes = crowd.rush(&scene, |_| calling("team", asking(1, ""))).await;
            outcomes.assert_refused_with("rate_limit_exceeded");
            admitted += outcomes.admitted().count();
        }
        println!("{row}: {admitted} let through of 200, where the more generous gateway allows {most}");
        if admitted > most {
            wrong.push((row, admitted));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
