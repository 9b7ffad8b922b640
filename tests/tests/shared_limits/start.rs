//! Gateways come and go: before Redis, in order, and all of a sudden.

use gateway_tests::clock::now;
use gateway_tests::patience::until;

use super::crowd::Crowd;
use super::scene::{Scene, asking, calling};
use super::upstream::STALLED;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_start_without_redis_and_join_when_it_comes() {
    let keys = [
        ("own", "rate_limit: { limit: 10, period_seconds: 72000 }"),
        ("shared", "rate_limit: { limit: 30, period_seconds: 72000 }"),
    ];
    let Some(mut scene) = Scene::empty(1, &keys, "").await else { return };
    scene.redis.stop();
    scene.nodes = vec![scene.start(), scene.start()];
    assert_eq!(scene.redis_states().await, ["unreachable", "unreachable"]);
    let mut crowd = Crowd::gather(&scene, 20).await;
    let outcomes = crowd.rush(&scene, |_| calling("own", asking(1, ""))).await;
    outcomes.assert_refused_with("rate_limit_exceeded");
    // Neither knows of the other, so each takes the limit for its own.
    for node in 0..2 {
        assert_eq!(outcomes.admitted().filter(|outcome| outcome.node == node).count(), 10, "{outcomes}");
    }
    scene.redis.start_again();
    scene.all_say("reachable").await;
    let mut shared = 0;
    for _ in 0..2 {
        shared += crowd.rush(&scene, |_| calling("shared", asking(1, ""))).await.admitted().count();
    }
    assert_eq!(shared, 30);
    scene.assert_lost_and_back(1);
}

/// Whoever stops has said everything, and takes nothing along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gateway_has_counted_outlives_it() {
    let keys = [
        ("requests", "rate_limit: { limit: 10, period_seconds: 72000 }"),
        ("money", "budget: { usd: 10, period: total }"),
    ];
    let Some(mut scene) = Scene::with(&keys, "").await else { return };
    for _ in 0..4 {
        assert_eq!(scene.call(0, "requests", asking(1, "")).await.status, 200);
        // Two are kept back, of which one is used.
        assert_eq!(scene.call(0, "money", asking(2, "")).await.status, 200);
    }
    scene.nodes.remove(0).stop();
    scene.assert_left("money", 6).await;
    let mut left = 0;
    while scene.call(0, "requests", asking(1, "")).await.status == 200 {
        left += 1;
    }
    assert_eq!(left, 6);
    // Nor does one that starts begin anew.
    scene.nodes.push(scene.start());
    scene.assert_left("money", 6).await;
    assert_eq!(scene.call(1, "requests", asking(1, "")).await.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_places_of_a_gateway_that_is_killed_become_free() {
    let keys = [("places", "rate_limit: { max_concurrent: 4 }"), ("money", "budget: { usd: 10, period: total }")];
    let Some(mut scene) = Scene::with(&keys, "").await else { return };
    for (name, calls, tokens) in [("places", 4, 1), ("money", 2, 5)] {
        for _ in 0..calls {
            let (client, request) = (scene.nodes[0].address(), calling(name, asking(tokens, STALLED)));
            let total = scene.upstream.counts().total;
            tokio::spawn(async move {
                // It never has an answer.
                let _ = gateway_tests::administrator::try_send(client, request).await;
            });
            scene.upstream.reaches("a call", |counts| counts.total > total).await;
        }
    }
    for node in 0..2 {
        let refused = scene.call(node, "places", asking(1, "")).await;
        assert_eq!(refused.error_code(), "concurrency_limit_exceeded", "{}", refused.text());
        let refused = scene.call(node, "money", asking(1, "")).await;
        assert_eq!(refused.error_code(), "insufficient_quota", "{}", refused.text());
    }
    let mut killed = scene.nodes.remove(0);
    let began = now();
    killed.kill().unwrap();
    until("a place", async || scene.hold(0, "places", 1).await.ok()).await;
    println!("a place was free {:?} after the kill", began.elapsed());
    // It is dead after five seconds without a word.
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    scene.upstream.release();
    scene.assert_places("places", 4).await;
    scene.assert_left("money", 10).await;
}
