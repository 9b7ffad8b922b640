//! Redis dies in the middle of a steady load, and comes back empty.

use std::time::{Duration, Instant};

use gateway_tests::clock::now;

use super::crowd::Crowd;
use super::load::{Load, Record, Times};
use super::play::Play;
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

/// When it was killed, and when it was started again.
#[derive(Debug, Clone, Copy)]
struct Outage {
    from: Instant,
    to: Instant,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_answered_and_no_limit_is_forgotten() {
    let act = async |scene: &mut Scene| {
        let (records, outage) = outlive(scene).await;
        assert_answered(&records);
        assert_bounded(&records, outage);
        assert_not_delayed(&records, outage.from);
        let mut crowd = Crowd::gather(scene, 10).await;
        let mut fresh = 0;
        for _ in 0..5 {
            let outcomes = crowd.rush(scene, |_| calling("fresh", asking(1, ""))).await;
            outcomes.assert_refused_with("rate_limit_exceeded");
            fresh += outcomes.admitted().count();
        }
        assert_eq!(fresh, 50, "limits are shared again");
    };
    Play { losses: 1, ..Play::of(&KEYS) }.run(act).await;
}

/// Kills Redis and starts it again, each time as soon as nothing is left of the limit.
async fn outlive(scene: &mut Scene) -> (Vec<Record>, Outage) {
    let began = now();
    let mut load = Load::new();
    for name in ["steady", "unlimited"] {
        load.add(&scene.addresses(), 3, name, &key(name)).await;
    }
    load.reaches("the whole limit", LIMIT, is_admitted).await;
    nothing_is_left(&load).await;
    let from = now();
    scene.redis.stop();
    scene.until_redis("unreachable").await;
    for node in 0..2 {
        let is_own = |record: &Record| is_admitted(record) && record.node == node && record.ended() > from;
        load.reaches("the gateway's share", SHARE, is_own).await;
    }
    nothing_is_left(&load).await;
    let to = now();
    scene.redis.start_again();
    scene.until_redis("reachable").await;
    load.reaches("the whole limit again", LIMIT, |record| is_admitted(record) && record.ended() > to).await;
    nothing_is_left(&load).await;
    println!("Redis was away from {:?} to {:?} after the start", from - began, to - began);
    (load.end().await, Outage { from, to })
}

fn is_admitted(record: &Record) -> bool {
    record.name == "steady" && record.status == 200
}

/// Waits until both gateways refuse what they are asked from now on.
async fn nothing_is_left(load: &Load) {
    let since = now();
    for node in 0..2 {
        let is_refused = |record: &Record| record.node == node && record.status == 429 && record.began > since;
        load.reaches("the limit to be used up", ENOUGH, is_refused).await;
    }
}

fn assert_answered(records: &[Record]) {
    for record in records {
        let is_answered = record.status == 200 || record.status == 429 && record.name == "steady";
        assert!(is_answered, "{record:?}");
    }
}

/// Panics unless the limit was let through three times: by Redis, by each gateway its share, and by a Redis that knows of
/// nothing.
fn assert_bounded(records: &[Record], Outage { from, to }: Outage) {
    let count = |is_within: &dyn Fn(Instant) -> bool| {
        let of_node = |node| move |record: &&Record| is_admitted(record) && record.node == node;
        [0, 1].map(|node| records.iter().filter(of_node(node)).filter(|record| is_within(record.ended())).count())
    };
    let before = count(&|ended| ended <= from);
    let without = count(&|ended| from < ended && ended <= to);
    let after = count(&|ended| to < ended);
    println!(
        "let through by each: {before:?} before, {without:?} without Redis, {after:?} after; the limit is {LIMIT}"
    );
    assert_eq!(before.iter().sum::<usize>(), LIMIT);
    assert_eq!(without, [SHARE, SHARE]);
    assert_eq!(after.iter().sum::<usize>(), LIMIT);
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
