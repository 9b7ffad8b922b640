//! Limits that change while calls run: what is spent stays spent, and while gateways do not agree yet they let through what
//! the more generous one would.

use std::net::SocketAddr;

use gateway_testing::Client;
use gateway_tests::administrator::Administrator;
use gateway_tests::clock::now;
use gateway_tests::patience::until;
use gateway_tests::site;
use gateway_tests::stage::CALL;
use serde_json::{Value, json};

use super::crowd::Crowd;
use super::load::{Load, Record};
use super::play::Play;
use super::scene::{Scene, asking, calling};

/// So few requests come back that none does in a test.
fn limit(limit: u64) -> Value {
    json!({ "rate_limit": { "limit": limit, "period_seconds": 72_000 } })
}

fn is_admitted(record: &Record) -> bool {
    record.status == 200
}

/// Waits until all gateways go by this limit.
async fn all_know(gateways: &[SocketAddr], key: &str, limit: u64) {
    for &gateway in gateways {
        let look = async || {
            let answer = Client::connect(gateway).await.send(site::calling(key, CALL)).await;
            (answer.header("x-ratelimit-limit-requests") == limit.to_string()).then_some(())
        };
        until("the change to be known", look).await;
    }
}

/// Waits until both gateways refuse what they are asked from now on.
async fn nothing_is_left(load: &Load) {
    let since = now();
    for node in 0..2 {
        let is_refused = |record: &Record| record.node == node && record.status == 429 && record.began > since;
        load.reaches("refusals", 20, is_refused).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spent_stays_spent_when_an_administrator_changes_a_limit() {
    let act = async |scene: &mut Scene| {
        scene.nodes = vec![scene.start_with_store(), scene.start_with_store()];
        scene.are_acquainted().await;
        let (gateways, admin) = (scene.addresses(), Administrator(scene.nodes[0].address()));
        let create = async |id: &str, most: u64| {
            admin.create(json!({ "id": id, "name": id, "rate_limit": limit(most)["rate_limit"] })).await.key
        };
        let team = create("team", 100).await;
        // It is always changed after the other, so whoever knows of its change knows of the other's.
        let witness = create("witness", 1_000).await;
        all_know(&gateways, &witness, 1_000).await;
        let mut load = Load::new();
        load.add(&gateways, 3, "team", &team).await;
        load.reaches("the whole limit", 100, is_admitted).await;
        let (mut marker, mut found) = (1_000, Vec::new());
        let changes = [(100, 100), (150, 150), (150, 150), (400, 400), (300, 400)];
        for (to, _) in changes {
            admin.change("team", limit(to)).await;
            marker += 1;
            admin.change("witness", limit(marker)).await;
            all_know(&gateways, &witness, marker).await;
            nothing_is_left(&load).await;
            found.push((to, load.count(is_admitted)));
        }
        load.end().await;
        println!("limits, and what was let through by then: {found:?}");
        assert_eq!(found, changes);
    };
    Play { nodes: 0, ..Play::of(&[]) }.run(act).await;
}

/// A new configuration reaches one gateway after the other, and until it has, they do not agree.
async fn disagree(old: &str, new: &str, most: usize) {
    let key = |limits: &str| format!("rate_limit: {{ {limits} }}");
    let (old, new) = (key(old), key(new));
    let act = async |scene: &mut Scene| {
        scene.change_keys(&[("team", &new)]);
        scene.nodes.push(scene.start());
        let mut crowd = Crowd::gather(scene, 5).await;
        let mut admitted = 0;
        for _ in 0..20 {
            let outcomes = crowd.rush(scene, |_| calling("team", asking(1, ""))).await;
            outcomes.assert_refused_with("rate_limit_exceeded");
            admitted += outcomes.admitted().count();
        }
        println!("{old} and {new}: {admitted} of 200 let through");
        assert!(admitted <= most, "{admitted} let through, where the more generous gateway allows {most}");
    };
    Play { nodes: 1, ..Play::of(&[("team", &old)]) }.run(act).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_may_disagree_about_a_limit() {
    disagree("limit: 20, period_seconds: 72000", "limit: 30, period_seconds: 72000", 30).await;
    disagree("limit: 30, period_seconds: 72000", "limit: 20, period_seconds: 72000", 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_may_disagree_about_a_period() {
    disagree("limit: 20, period_seconds: 36000", "limit: 30, period_seconds: 72000", 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_may_disagree_about_how_many_limits_there_are() {
    let (one, two) = ("limit: 30, period_seconds: 72000", "limit: 30, period_seconds: 72000, requests_per_minute: 10");
    disagree(one, two, 30).await;
}
