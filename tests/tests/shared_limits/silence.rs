//! A Redis that takes what it is sent and says nothing.

use std::time::Duration;

use gateway_tests::clock::now;

use super::crowd::{Crowd, Outcomes};
use super::scene::{Scene, asking, calling};

const KEYS: [(&str, &str); 4] = [
    ("first", "rate_limit: { limit: 10, period_seconds: 72000 }"),
    ("second", "rate_limit: { limit: 100000, period_seconds: 72000 }"),
    ("unlimited", "enabled: true"),
    ("fresh", "rate_limit: { limit: 30, period_seconds: 72000 }"),
];

/// How long a decision waits for Redis.
const TIMEOUT: Duration = Duration::from_millis(50);

/// The time that half of the calls took at most.
fn median(outcomes: &Outcomes) -> Duration {
    let mut times: Vec<_> = outcomes.all.iter().map(|outcome| outcome.took).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_waited_for_once() {
    let Some(mut scene) = Scene::with(&KEYS, "").await else { return };
    let mut crowd = Crowd::gather(&scene, 10).await;
    let usual = crowd.rush(&scene, |_| calling("second", asking(1, ""))).await;
    let without = crowd.rush(&scene, |_| calling("unlimited", asking(1, ""))).await;
    scene.redis.pause();
    let first = crowd.rush(&scene, |_| calling("first", asking(1, ""))).await;
    // They have found out, both.
    assert_eq!(scene.redis_states().await, ["unreachable", "unreachable"]);
    first.assert_refused_with("rate_limit_exceeded");
    // Ten for two, so five for each.
    for node in 0..2 {
        assert_eq!(first.admitted().filter(|outcome| outcome.node == node).count(), 5, "{first}");
    }
    // What Redis hears later than this it does not decide any more.
    let (paused, mut behind) = (now(), crowd.rush(&scene, |_| calling("second", asking(1, ""))).await);
    while paused.elapsed() < 3 * TIMEOUT {
        behind = crowd.rush(&scene, |_| calling("second", asking(1, ""))).await;
    }
    for (row, outcomes) in [("usual", &usual), ("unlimited", &without), ("paused", &first), ("behind", &behind)] {
        println!("{row}: {:?}, of which the median is {:?}", outcomes.took, median(outcomes));
    }
    let slow = first.all.iter().filter(|outcome| outcome.took > TIMEOUT + usual.took + Duration::from_millis(100));
    assert_eq!(slow.count(), 0, "{first}");
    // Whoever waited for Redis would have waited for all of the timeout, on top of what a call takes.
    assert!(median(&behind) < TIMEOUT.max(2 * median(&usual)), "{behind}");
    scene.redis.resume();
    scene.all_say("reachable").await;
    let mut fresh = 0;
    for _ in 0..3 {
        fresh += crowd.rush(&scene, |_| calling("fresh", asking(1, ""))).await.admitted().count();
    }
    assert_eq!(fresh, 30, "limits are shared again");
    // What was asked of it while it was silent, and decided elsewhere, it has not taken.
    let mut rest = 0;
    for _ in 0..2 {
        rest += crowd.rush(&scene, |_| calling("first", asking(1, ""))).await.admitted().count();
    }
    assert_eq!(rest, 10, "nothing was let through twice, nor taken in vain");
    scene.assert_lost_and_back(1);
}
