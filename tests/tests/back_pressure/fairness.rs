//! Callers take turns: one key's flood delays no other key, and does not fill the line for it.

use gateway_testing::Gate;
use gateway_tests::stage::Stage;

use super::scene::{Caller, PATIENT, all_are_served, held, marks, stage};

/// A gateway with one place, which a call of the flood has until the gate opens, and a line for so many.
async fn flooded(size: usize) -> (Stage, Gate, Vec<Caller>) {
    let stage = stage(1, &format!("size: {size}, {PATIENT}")).await;
    let gate = Gate::new();
    stage.upstream.push(held(&gate));
    let first = Caller::come(&stage, "flood", "flood-0").await;
    stage.upstream.request(0).await;
    (stage, gate, vec![first])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_delays_another_key_by_one_call() {
    let (stage, gate, mut callers) = flooded(20).await;
    for number in 1..10 {
        callers.push(Caller::come(&stage, "flood", &format!("flood-{number}")).await);
    }
    callers.push(Caller::come(&stage, "a", "quiet").await);
    gate.open();
    all_are_served(&stage, callers).await;
    let order = marks(&stage.upstream.requests());
    let turn = order.iter().position(|mark| mark == "quiet").unwrap();
    assert!(turn <= 2, "the one inside, at most one of the flood, and then it: {order:?}");
    assert_eq!(order.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_take_turns() {
    let (stage, gate, mut callers) = flooded(20).await;
    for mark in ["flood-1", "flood-2", "flood-3", "flood-4", "a-1", "a-2", "b-1", "b-2", "a-3"] {
        let name = mark.split('-').next().unwrap();
        callers.push(Caller::come(&stage, name, mark).await);
    }
    gate.open();
    all_are_served(&stage, callers).await;
    let expected = ["flood-0", "flood-1", "a-1", "b-1", "flood-2", "a-2", "b-2", "flood-3", "a-3", "flood-4"];
    assert_eq!(marks(&stage.upstream.requests()), expected);
}

/// Whoever has most of the line gives way, and so nobody is turned away because of another key.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_does_not_fill_the_line() {
    let (stage, gate, mut callers) = flooded(4).await;
    let mut flood = Vec::new();
    for number in 1..5 {
        flood.push(Caller::come(&stage, "flood", &format!("flood-{number}")).await);
    }
    Caller::come(&stage, "flood", "flood-5").await.turned_away().await;
    for (name, mark) in [("a", "a-1"), ("b", "b-1")] {
        callers.push(Caller::come(&stage, name, mark).await);
        flood.pop().unwrap().turned_away().await;
    }
    // The flood has two places of four; with one more, `a` would have as many.
    Caller::come(&stage, "a", "a-2").await.turned_away().await;
    Caller::come(&stage, "flood", "flood-6").await.turned_away().await;
    callers.extend(flood);
    gate.open();
    all_are_served(&stage, callers).await;
    assert_eq!(marks(&stage.upstream.requests()), ["flood-0", "flood-1", "a-1", "b-1", "flood-2"]);
}

/// Taking turns is no help against a key that keeps what it has. Of seventeen places, one key gets sixteen.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_keeps_its_places_leaves_one_for_others() {
    let stage = stage(17, "size: 0").await;
    let gate = Gate::new();
    let mut callers = Vec::new();
    for number in 0..16 {
        stage.upstream.push(held(&gate));
        callers.push(Caller::come(&stage, "flood", &format!("flood-{number}")).await);
    }
    stage.upstream.request(15).await;
    Caller::come(&stage, "flood", "flood-16").await.turned_away().await;
    for number in 0..3 {
        let caller = Caller::come(&stage, "a", &format!("a-{number}")).await;
        all_are_served(&stage, [caller]).await;
    }
    gate.open();
    all_are_served(&stage, callers).await;
}
