//! A caller who reads slowly holds a place, and nobody else's.

use bytes::Bytes;
use gateway_testing::{Gate, Script};
use gateway_tests::stage::{CHAT, Stage};
use gateway_tests::stream::{Events, STREAMED_CALL, text};
use tokio::time::{Duration, sleep, timeout};

use super::scene::{Caller, held, request, stage};

/// More than all buffers between the upstream and the caller hold.
const STREAM: usize = 200 << 20;

/// A stream that its caller does not read, far enough for everything in between to be full.
async fn unread(stage: &Stage) -> Events {
    let payload = text(&"x".repeat(64 * 1024));
    let event = format!("data: {payload}\n\n");
    let chunk = Bytes::from(format!("{:x}\r\n{event}\r\n", event.len()));
    let chunks = std::iter::repeat_n(chunk.clone(), STREAM / chunk.len());
    stage.upstream.push(chunks.fold(Script::event_stream().event(&text("first")), Script::write));
    let mut events = Events::of(stage.gateway.address(), request("a", "reader", STREAMED_CALL)).await;
    events.next().await.unwrap();
    // Nothing signals that nothing happens, so this has to look.
    let held_up = async {
        let mut before = 0;
        loop {
            sleep(Duration::from_millis(200)).await;
            let written = stage.upstream.bytes_written(0);
            if written == before {
                return written;
            }
            before = written;
        }
    };
    let written = timeout(Duration::from_secs(30), held_up).await.expect("the upstream is never held up");
    assert!(written < STREAM as u64 / 2, "{written}");
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_one_place() {
    let stage = stage(2, "size: 0").await;
    let reader = unread(&stage).await;
    for number in 0..10 {
        let mark = format!("next-{number}");
        Caller::come(&stage, "b", &mark).await.served().await;
        stage.access_line(&mark);
    }
    let gate = Gate::new();
    stage.upstream.push(held(&gate));
    let second = Caller::come(&stage, "b", "second").await;
    stage.upstream.request(11).await;
    Caller::come(&stage, "b", "third").await.turned_away().await;
    // The reader's place is free when it leaves, and the upstream's call is over.
    drop(reader);
    assert_eq!(stage.access_line("reader")["status"], 499);
    stage.upstream.connection_closed(0).await;
    Caller::come(&stage, "b", "fourth").await.served().await;
    gate.open();
    second.served().await;
    assert_eq!(stage.upstream.request(0).await.target(), CHAT);
}
