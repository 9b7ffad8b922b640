//! A Redis that takes what it is sent and says nothing.

use std::time::Duration;

use gateway_tests::clock::now;

use super::crowd::{Crowd, Outcomes};
use super::play::Play;
use super::scene::{Scene, asking, calling};

const KEYS: [(&str, &str); 4] = [
    ("first", "rate_limit: { limit: 10, period_seconds: 72000 }"),
    ("second", "rate_limit: { limit: 100000, period_seconds: 72000 }"),
    ("unlimited", "enabled: true"),
    ("fresh", "rate_limit: { limit: 30, period_seconds: 72000 }"),
];

/// How long a decision waits for Redis.
const TIMEOUT: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_waited_for_once() {
    let act = async |scene: &mut Scene| {
        let mut crowd = Crowd::gather(scene, 10).await;
        let usual = rush(&mut crowd, scene, "second").await;
        let without = rush(&mut crowd, scene, "unlimited").await;
        scene.redis.pause();
        let first = rush(&mut crowd, scene, "first").await;
        let found_out = now();
        scene.assert_redis("unreachable").await;
        let behind = rush(&mut crowd, scene, "second").await;
        for (row, outcomes) in [("usual", &usual), ("unlimited", &without), ("first", &first), ("behind", &behind)] {
            println!("{row}: {:?}, of which the median is {:?}", outcomes.took, outcomes.median());
        }
        first.assert_refused_with("rate_limit_exceeded");
        // Ten for two, so five for each.
        for node in 0..2 {
            assert_eq!(first.admitted().filter(|outcome| outcome.node == node).count(), 5, "{first}");
        }
        // The machine may have other things to do.
        assert!(first.median() < 4 * TIMEOUT.max(usual.median()), "{first}");
        // Whoever waited for Redis would have waited for all of the timeout, on top of what a call takes.
        assert!(behind.median() < TIMEOUT.max(2 * usual.median()), "{behind}");
        // What Redis hears later than this it does not decide any more.
        while found_out.elapsed() < 3 * TIMEOUT {
            rush(&mut crowd, scene, "second").await;
        }
        scene.redis.resume();
        scene.until_redis("reachable").await;
        assert_eq!(admitted(&mut crowd, scene, "fresh").await, 30, "limits are shared again");
        // What was asked of it while it was silent, and decided elsewhere, it has not taken.
        assert_eq!(admitted(&mut crowd, scene, "first").await, 10, "neither twice nor in vain");
    };
    Play { redis: "timeout: 500ms", losses: 1, ..Play::of(&KEYS) }.run(act).await;
}

async fn rush(crowd: &mut Crowd, scene: &Scene, name: &str) -> Outcomes {
    crowd.rush(scene, |_| calling(name, asking(1, ""))).await
}

/// How many of sixty calls are let through.
async fn admitted(crowd: &mut Crowd, scene: &Scene, name: &str) -> usize {
    let mut admitted = 0;
    for _ in 0..3 {
        admitted += rush(crowd, scene, name).await.admitted().count();
    }
    admitted
}
