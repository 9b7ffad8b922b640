//! A caller who reads slowly slows its upstream down; the gateway holds nothing in between.

use std::time::Duration;

use bytes::Bytes;
use gateway_testing::Script;
use gateway_tests::stage::Stage;
use gateway_tests::stream::{Events, text};
use tokio::time::{Instant, interval, timeout};

/// Larger than all socket buffers on the way together, which hold some 20 MiB at the system's usual limits.
const STREAM: usize = 200 << 20;

/// How much of the stream may be on its way. It lies in the system's buffers on both sides of the gateway.
const ON_ITS_WAY: u64 = 48 << 20;

/// How much the gateway's own memory may grow for the one stream.
const GROWTH: u64 = 8 << 20;

/// How long the upstream may write nothing before it counts as held up.
const HELD_UP: Duration = Duration::from_millis(500);

/// Waits until the upstream gets rid of no more, and says of how much it did.
async fn written_until_held_up(stage: &Stage) -> u64 {
    // Nothing signals that nothing happens, so this has to look.
    let mut ticks = interval(Duration::from_millis(20));
    let (mut written, mut since) = (0, Instant::now());
    let look = async {
        while since.elapsed() < HELD_UP {
            ticks.tick().await;
            let now = stage.upstream.bytes_written(0);
            if now != written {
                (written, since) = (now, Instant::now());
            }
        }
        written
    };
    timeout(Duration::from_secs(30), look).await.expect("the upstream is never held up")
}

/// Not every system tells how much memory a process has; Linux does.
fn assert_grown_little(before: Option<u64>, after: Option<u64>) {
    let Some((before, after)) = before.zip(after) else {
        assert_ne!(std::env::consts::OS, "linux", "the gateway's memory is unknown");
        return;
    };
    println!("the gateway grew from {} KiB to {} KiB", before >> 10, after >> 10);
    let growth = after.saturating_sub(before);
    assert!(growth < GROWTH, "the gateway grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_stream_stays_with_the_upstream() {
    let stage = Stage::with("").await;
    let payload = text(&"x".repeat(64 * 1024));
    let event = format!("data: {payload}\n\n");
    let chunk = Bytes::from(format!("{:x}\r\n{event}\r\n", event.len()));
    let chunks = std::iter::repeat_n(chunk.clone(), STREAM / chunk.len());
    stage.upstream.push(chunks.fold(Script::event_stream().event(&text("first")), Script::write));

    stage.assert_alive("warm").await;
    let before = stage.gateway.resident_memory();
    let mut events = Events::open(stage.gateway.address()).await;
    events.next().await.unwrap();
    let written = written_until_held_up(&stage).await;
    println!("{} MiB of the stream are on their way", written >> 20);
    assert!(written < ON_ITS_WAY, "the upstream got rid of {written} bytes");
    assert_grown_little(before, stage.gateway.resident_memory());

    // It flows on when the caller does.
    for _ in 0..written / event.len() as u64 + 16 {
        assert!(events.next().await.is_some());
    }
    drop(events);
    stage.upstream.connection_closed(0).await;
}
