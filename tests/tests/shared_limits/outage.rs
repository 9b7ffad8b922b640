//! Redis dies in the middle of a steady load, and comes back empty.

use std::time::{Duration, Instant};

use gateway_tests::clock::now;

use super::crowd::Crowd;
use super::load::{Load, Record, Times};
use super::scene::{Scene, asking, calling, key};

/// So many requests the key has, and so few come back that none does in a test.
const LIMIT: usize = 200;

/// What each of two gateways lets through by itself.
const SHARE: usize = LIMIT / 2;

/// Refusals that show that there is nothing left.
const ENOUGH: usize = 20;

const KEYS: [(&str, &str); 3] = [
    ("steady", "rate_limit: { limit: 200, period_seconds: 72000 }"),
    ("unlimited", "enabled: true"),
    ("fresh", "rate_limit: { limit: 50, period_seconds: 72000 }"),
];

/// Waits until a node refuses what it is asked from now on.
async fn are_refused(load: &Load, since: Instant) {
    for node in 0..2 {
        let is_refused = |record: &Record| {
            record.name == "steady" && record.node == node && record.status == 429 && record.began > since
        };
        load.reaches("the limit to be used up", ENOUGH, is_refused).await;
    }
}

/// Calls of the key that were let through, for each node, by when their answers were there.
fn admitted(records: &[Record], is_within: impl Fn(Instant) -> bool) -> [usize; 2] {
    [0, 1].map(|node| {
        let is_counted = |record: &&Record| {
            record.name == "steady" && record.node == node && record.status == 200 && is_within(record.ended())
        };
        records.iter().filter(is_counted).count()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_answered_and_no_limit_is_forgotten() {
    let Some(mut scene) = Scene::with(&KEYS, "").await else { return };
    let mut load = Load::new();
    for name in ["steady", "unlimited"] {
        load.add(&scene.addresses(), 3, name, &key(name)).await;
    }
    let began = now();
    load.reaches("the whole limit", LIMIT, |record| record.name == "steady" && record.status == 200).await;
    are_refused(&load, now()).await;
    let killed = now();
    scene.redis.stop();
    scene.all_say("unreachable").await;
    for node in 0..2 {
        let is_admitted = |record: &Record| {
            record.name == "steady" && record.node == node && record.status == 200 && record.ended() > killed
        };
        load.reaches("the gateway's share", SHARE, is_admitted).await;
    }
    are_refused(&load, now()).await;
    let restarted = now();
    scene.redis.start_again();
    scene.all_say("reachable").await;
    let is_admitted = |record: &Record| record.name == "steady" && record.status == 200 && record.ended() > restarted;
    load.reaches("the whole limit again", LIMIT, is_admitted).await;
    are_refused(&load, now()).await;
    let records = load.end().await;
    println!("Redis was away from {:?} to {:?} after the start", killed - began, restarted - began);

    for record in &records {
        let is_answered = record.status == 200 || record.status == 429 && record.name == "steady";
        assert!(is_answered, "{record:?}");
    }
    let before = admitted(&records, |ended| ended <= killed);
    let during = admitted(&records, |ended| killed < ended && ended <= restarted);
    let after = admitted(&records, |ended| restarted < ended);
    println!(
        "admitted by each node: {before:?} before, {during:?} without Redis, {after:?} after; the limit is {LIMIT}"
    );
    // By Redis, each by itself, and by a Redis that knows of nothing.
    assert_eq!(before.iter().sum::<usize>(), LIMIT);
    assert_eq!(during, [SHARE, SHARE]);
    assert_eq!(after.iter().sum::<usize>(), LIMIT);
    assert_not_delayed(&records, killed);

    let mut crowd = Crowd::gather(&scene, 10).await;
    let mut fresh = 0;
    for _ in 0..5 {
        let outcomes = crowd.rush(&scene, |_| calling("fresh", asking(1, ""))).await;
        outcomes.assert_refused_with("rate_limit_exceeded");
        fresh += outcomes.admitted().count();
    }
    assert_eq!(fresh, 50, "limits are shared again");
    scene.assert_lost_and_back(1);
}

/// Panics if callers with limits were delayed by more than a tenth of a second since then, apart from what delays those
/// without limits, whom Redis does not concern, and one call in a hundred: the machine has other things to do.
fn assert_not_delayed(records: &[Record], since: Instant) {
    let times = |name: &str, is_before: bool| {
        Times::of(records.iter().filter(|it| it.name == name && (it.ended() <= since) == is_before))
    };
    let usual = times("steady", true);
    let (limited, unlimited) = (times("steady", false), times("unlimited", false));
    usual.print("with limits, before");
    times("unlimited", true).print("without limits, before");
    limited.print("with limits, since");
    unlimited.print("without limits, since");
    let bound = usual.percentile(99) + Duration::from_millis(100);
    let (slow, noise) = (limited.share_beyond(bound), unlimited.share_beyond(bound));
    println!("beyond {bound:?}: {slow:.4} with limits, {noise:.4} without");
    assert!(slow <= noise + 0.01, "{slow} of the calls were slow; of those that need no Redis {noise}");
    assert!(limited.percentile(100) < Duration::from_secs(2), "{:?}", limited.percentile(100));
}
