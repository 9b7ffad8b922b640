//! A gateway that stops serves those in line, as far as there is time.

use gateway_testing::Gate;
use gateway_tests::drain::begin_drain;
use gateway_tests::stage::{ONE_ATTEMPT, PLAIN, Stage};
use serde_json::Value;

use super::scene::{Caller, PATIENT, held, marks, room, stage_of};

/// One place, which is taken until the gate opens, and two in line for it.
async fn crowded(drain_timeout: &str) -> (Stage, Gate, Vec<Caller>) {
    let server = format!("{}, drain_timeout: {drain_timeout}", room(1, &format!("size: 5, {PATIENT}")));
    let stage = stage_of(PLAIN, &server, ONE_ATTEMPT).await;
    let gate = Gate::new();
    stage.upstream.push(held(&gate));
    let first = Caller::come(&stage, "a", "first").await;
    stage.upstream.request(0).await;
    let callers = vec![first, Caller::come(&stage, "a", "next-0").await, Caller::come(&stage, "b", "next-1").await];
    (stage, gate, callers)
}

/// Panics unless the process ended in order, with so many calls that were finished and that were cut.
fn assert_stopped(stage: &mut Stage, finished: u64, cut: u64) {
    let line = stage.gateway.log_line(|line| line.contains(r#""message":"stopped""#));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["finished"], &line["cut"]), (&finished.into(), &cut.into()), "{line}");
    assert_eq!(stage.gateway.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn those_in_line_are_served() {
    let (mut stage, gate, callers) = crowded("30s").await;
    begin_drain(&stage).await;
    assert!(stage.gateway.is_running());
    gate.open();
    for caller in callers {
        let reply = caller.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (200, "close"), "{}", reply.body);
    }
    assert_stopped(&mut stage, 3, 0);
    assert_eq!(marks(&stage.upstream.requests()), ["first", "next-0", "next-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_in_line_are_cut_when_the_time_is_over() {
    let (mut stage, _gate, callers) = crowded("300ms").await;
    begin_drain(&stage).await;
    stage.upstream.connection_closed(0).await;
    assert_stopped(&mut stage, 0, 3);
    assert_eq!(stage.upstream.requests().len(), 1, "nobody was sent on in the last moment");
    drop(callers);
}
