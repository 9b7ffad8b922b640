//! The line of those who find no place: it is served in turn, has an end, and is left by whoever gives up.

use gateway_testing::Gate;
use gateway_tests::clock::now;
use gateway_tests::stage::Stage;
use tokio::time::{Duration, sleep};

use super::scene::{Caller, PATIENT, all_are_served, assert_overloaded, held, marks, stage};

/// A gateway with one place, which is taken until the gate opens, and a line for so many.
async fn taken(size: usize, timeout: &str) -> (Stage, Gate, Caller) {
    let stage = stage(1, &format!("size: {size}, {timeout}")).await;
    let (gate, first) = take(&stage).await;
    (stage, gate, first)
}

/// Takes the one place, until the gate opens.
async fn take(stage: &Stage) -> (Gate, Caller) {
    let gate = Gate::new();
    stage.upstream.push(held(&gate));
    let first = Caller::come(stage, "a", "first").await;
    stage.upstream.request(0).await;
    (gate, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn those_in_line_are_served_as_they_came() {
    let (stage, gate, first) = taken(10, PATIENT).await;
    let mut callers = vec![first];
    for number in 0..8 {
        callers.push(Caller::come(&stage, "a", &format!("next-{number}")).await);
    }
    assert_eq!(stage.upstream.requests().len(), 1, "one at once");
    gate.open();
    all_are_served(&stage, callers).await;
    let expected = (0..8).map(|number| format!("next-{number}"));
    assert_eq!(marks(&stage.upstream.requests())[1..], expected.collect::<Vec<_>>());
    assert_eq!(stage.upstream.connections(), 1, "one after the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_the_line_full_is_turned_away() {
    let (stage, gate, first) = taken(2, PATIENT).await;
    let waiting = [Caller::come(&stage, "a", "next-0").await, Caller::come(&stage, "a", "next-1").await];
    for number in 0..3 {
        Caller::come(&stage, "a", &format!("beyond-{number}")).await.turned_away().await;
    }
    gate.open();
    all_are_served(&stage, [first].into_iter().chain(waiting)).await;
    assert_eq!(marks(&stage.upstream.requests()), ["first", "next-0", "next-1"]);
}

/// Who waits is not turned away sooner than the configuration says, unless the line had stood still for so long before that it
/// would be in vain. That nobody is kept for longer, and that a line that stands takes nobody, is seen on the clock of the unit tests.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_waited_long_enough_is_turned_away() {
    let timeout = Duration::from_secs(1);
    let stage = stage(1, "size: 2, timeout: 1s").await;
    let began = now();
    let (gate, first) = take(&stage).await;
    let came = now();
    let next = Caller::come(&stage, "a", "next").await;
    let stood = began.elapsed();
    assert_overloaded("next", &next.reply().await);
    assert!(came.elapsed() >= timeout || stood >= timeout / 2, "after {:?}, {stood:?}", came.elapsed());
    assert_eq!(stage.upstream.requests().len(), 1);
    // The line has not moved for as long as anybody would wait.
    Caller::come(&stage, "a", "later").await.turned_away().await;
    gate.open();
    all_are_served(&stage, [first]).await;
    Caller::come(&stage, "a", "last").await.served().await;
}

/// Whoever leaves the line makes room in it, and is not served.
#[tokio::test(flavor = "multi_thread")]
async fn callers_may_leave_the_line() {
    let (stage, gate, first) = taken(3, PATIENT).await;
    let mut callers = Vec::new();
    for mark in ["stays-0", "leaves-0", "leaves-1"] {
        callers.push(Caller::come(&stage, "a", mark).await);
    }
    Caller::come(&stage, "a", "beyond").await.turned_away().await;
    for caller in callers.split_off(1) {
        caller.leave(&stage);
    }
    for mark in ["stays-1", "stays-2"] {
        callers.push(Caller::come(&stage, "a", mark).await);
    }
    Caller::come(&stage, "a", "beyond").await.turned_away().await;
    gate.open();
    all_are_served(&stage, [first].into_iter().chain(callers)).await;
    assert_eq!(marks(&stage.upstream.requests()), ["first", "stays-0", "stays-1", "stays-2"]);
}

/// Of many who wait and leave, none takes a place along.
#[tokio::test(flavor = "multi_thread")]
async fn no_place_is_lost_in_the_line() {
    let stage = stage(2, &format!("size: 4, {PATIENT}")).await;
    for round in 0..5 {
        let (gate, before) = (Gate::new(), stage.upstream.requests().len());
        let mut inside = Vec::new();
        for place in 0..2 {
            stage.upstream.push(held(&gate));
            inside.push(Caller::come(&stage, "a", &format!("inside-{round}-{place}")).await);
        }
        stage.upstream.request(before + 1).await;
        let mut waiting = Vec::new();
        for place in 0..4 {
            waiting.push(Caller::come(&stage, "a", &format!("waits-{round}-{place}")).await);
        }
        Caller::come(&stage, "a", &format!("beyond-{round}")).await.turned_away().await;
        // One of those inside leaves, so that the first in line gets its place; and one of those in line.
        let (left, leaver) = (inside.remove(0), waiting.remove(2));
        leaver.leave(&stage);
        left.leave(&stage);
        stage.upstream.request(before + 2).await;
        gate.open();
        all_are_served(&stage, inside.into_iter().chain(waiting)).await;
        assert_eq!(stage.upstream.requests().len(), before + 5, "round {round}");
    }
}

/// Time in line is not the gateway's doing: the caller is told how much of its time the gateway itself took, and the log is
/// told of those who left.
#[tokio::test(flavor = "multi_thread")]
async fn time_in_line_is_not_overhead() {
    let (stage, gate, first) = taken(2, PATIENT).await;
    let began = now();
    let (next, leaver) = (Caller::come(&stage, "a", "next").await, Caller::come(&stage, "a", "leaver").await);
    let waited = Duration::from_millis(300);
    sleep(waited).await;
    let line = leaver.leave(&stage);
    let overhead = Duration::from_micros(line["overhead_us"].as_u64().unwrap());
    assert!(overhead + waited <= began.elapsed(), "{line}");
    gate.open();
    first.served().await;
    let reply = next.reply().await;
    let overhead = Duration::from_micros(reply.header("x-gateway-overhead-us").parse().unwrap());
    assert!(overhead + waited <= began.elapsed(), "{overhead:?} of {:?}", began.elapsed());
}
