//! `redis.on_error: deny`: better no calls than too many.

use gateway_testing::Answer;
use gateway_tests::patience::until;

use super::crowd::Crowd;
use super::play::{Play, lost_and_back};
use super::scene::{Scene, asking, calling, number};

/// Those of whom something has to be counted, and two others.
const KEYS: [(&str, &str); 6] = [
    ("requests", "rate_limit: { limit: 1000, period_seconds: 72000 }"),
    ("tokens", "rate_limit: { tokens_per_minute: 60000 }"),
    ("places", "rate_limit: { max_concurrent: 100 }"),
    ("money", "budget: { usd: 1000, period: total }"),
    ("blocked", "rate_limit: { limit: 0, period_seconds: 60 }"),
    ("unlimited", "enabled: true"),
];

const COUNTED: [&str; 4] = ["requests", "tokens", "places", "money"];

fn play() -> Play<'static> {
    Play { redis: "on_error: deny, timeout: 500ms", ..Play::of(&KEYS) }
}

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

async fn assert_counted_denied(scene: &Scene) {
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
    let act = async |scene: &mut Scene| {
        assert_all_served(scene).await;
        scene.redis.stop();
        // Also those that find out.
        let before = scene.upstream.counts().total;
        let names = [&COUNTED[..], &["unlimited"]].concat();
        let name = |number: usize| names[number % names.len()];
        let outcomes = Crowd::gather(scene, 20).await.rush(scene, |number| calling(name(number), asking(1, ""))).await;
        for outcome in &outcomes.all {
            match name(outcome.number) {
                "unlimited" => assert_eq!(outcome.answer.status, 200),
                name => assert_denied(name, &outcome.answer),
            }
        }
        assert_eq!(scene.upstream.counts().total - before, 8, "what is refused is not sent");
        scene.assert_redis("unreachable").await;
        assert_counted_denied(scene).await;
        scene.redis.start_again();
        scene.until_redis("reachable").await;
        assert_all_served(scene).await;
        // What is lost again before it was told to be back is no news.
        for node in &scene.nodes {
            until("Redis to be back", async || (lost_and_back(node) == (1, 1)).then_some(())).await;
        }
        scene.redis.pause();
        assert_counted_denied(scene).await;
        scene.assert_redis("unreachable").await;
        scene.redis.resume();
        scene.until_redis("reachable").await;
        assert_all_served(scene).await;
    };
    Play { losses: 2, ..play() }.run(act).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_limits_are_refused_until_redis_comes() {
    let act = async |scene: &mut Scene| {
        scene.redis.stop();
        scene.nodes = vec![scene.start()];
        assert_counted_denied(scene).await;
        scene.redis.start_again();
        scene.until_redis("reachable").await;
        assert_all_served(scene).await;
    };
    Play { nodes: 0, losses: 1, ..play() }.run(act).await;
}
