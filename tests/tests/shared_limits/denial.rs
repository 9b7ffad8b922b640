//! `redis.on_error: deny`: better no calls than too many.

use gateway_testing::Answer;

use super::crowd::Crowd;
use super::scene::{Scene, asking, calling, number};

const DENY: &str = "redis: { on_error: deny }\n";

const KEYS: [(&str, &str); 6] = [
    ("requests", "rate_limit: { limit: 1000, period_seconds: 72000 }"),
    ("tokens", "rate_limit: { tokens_per_minute: 60000 }"),
    ("places", "rate_limit: { max_concurrent: 100 }"),
    ("money", "budget: { usd: 1000, period: total }"),
    ("blocked", "rate_limit: { limit: 0, period_seconds: 60 }"),
    ("unlimited", "enabled: true"),
];

/// Those of whom something has to be counted.
const COUNTED: [&str; 4] = ["requests", "tokens", "places", "money"];

fn assert_denied(row: &str, answer: &Answer) {
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (503, "store_unavailable"), "{row}: {}", answer.text());
    assert!(number(answer, "retry-after") >= 1, "{row}");
    assert_eq!(answer.header("x-should-retry"), "", "{row}: it is worth it");
}

async fn assert_all_served(scene: &Scene) {
    for node in 0..scene.nodes.len() {
        for name in COUNTED {
            let answer = scene.call(node, name, asking(1, "")).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        }
    }
}

async fn assert_limited_denied(scene: &Scene) {
    for node in 0..scene.nodes.len() {
        for name in COUNTED {
            assert_denied(name, &scene.call(node, name, asking(1, "")).await);
        }
        // Nobody has to be asked about these.
        assert_eq!(scene.call(node, "unlimited", asking(1, "")).await.status, 200);
        assert_eq!(scene.call(node, "blocked", asking(1, "")).await.status, 429);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_limits_are_refused_while_redis_is_away() {
    let Some(mut scene) = Scene::with(&KEYS, DENY).await else { return };
    assert_all_served(&scene).await;
    scene.redis.stop();
    // Also those that find out.
    let mut crowd = Crowd::gather(&scene, 20).await;
    let before = scene.upstream.counts().total;
    let names = [COUNTED[0], COUNTED[1], COUNTED[2], COUNTED[3], "unlimited"];
    let outcomes = crowd.rush(&scene, |number| calling(names[number % 5], asking(1, ""))).await;
    for outcome in &outcomes.all {
        match names[outcome.number % 5] {
            "unlimited" => assert_eq!(outcome.answer.status, 200),
            name => assert_denied(name, &outcome.answer),
        }
    }
    assert_eq!(scene.upstream.counts().total - before, 8);
    assert_eq!(scene.redis_states().await, ["unreachable", "unreachable"]);
    assert_limited_denied(&scene).await;
    scene.redis.start_again();
    scene.all_say("reachable").await;
    assert_all_served(&scene).await;
    scene.redis.pause();
    for node in 0..2 {
        assert_denied("paused", &scene.call(node, "requests", asking(1, "")).await);
    }
    assert_limited_denied(&scene).await;
    scene.redis.resume();
    scene.all_say("reachable").await;
    assert_all_served(&scene).await;
    for log in scene.assert_lost_and_back(2) {
        assert!(log.iter().any(|line| line.contains("calls with limits are refused until it does")), "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_limits_are_refused_until_redis_comes() {
    let Some(mut scene) = Scene::empty(1, &KEYS, DENY).await else { return };
    scene.redis.stop();
    scene.nodes = vec![scene.start()];
    assert_limited_denied(&scene).await;
    scene.redis.start_again();
    scene.all_say("reachable").await;
    assert_all_served(&scene).await;
}
