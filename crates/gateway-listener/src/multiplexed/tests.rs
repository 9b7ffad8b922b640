#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{BoundedStream, Step, note_step};

const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
const NEARLY: Duration = Duration::from_millis(59_999);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// A stream whose body does as it is told.
fn stream() -> (BoundedStream<impl Future<Output = ()>>, mpsc::Sender<Step>) {
    let (steps, mut told) = mpsc::channel(8);
    let stream = poll_fn(move |cx| {
        while let Poll::Ready(step) = told.poll_recv(cx) {
            let Some(step) = step else { return Poll::Ready(()) };
            note_step(step);
        }
        Poll::Pending
    });
    (BoundedStream { stream, write_timeout: WRITE_TIMEOUT, waits_since: None, timer: None }, steps)
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_what_it_offered_is_not_taken() {
    let (stream, steps) = stream();
    let began = Instant::now();
    let offer = async {
        // Each of them but the last is taken in the last moment.
        for _ in 0..100 {
            steps.send(Step::HandedOver).await.unwrap();
            sleep(NEARLY).await;
        }
        steps.send(Step::HandedOver).await.unwrap();
        let last = Instant::now();
        steps.closed().await;
        last
    };
    // The receiver goes with the stream.
    let (last, ()) = tokio::join!(offer, stream);
    assert!(last - began > WRITE_TIMEOUT * 99);
    assert!((WRITE_TIMEOUT..WRITE_TIMEOUT * 2).contains(&last.elapsed()), "{:?}", last.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_nothing_to_offer_has_no_limit() {
    let (stream, steps) = stream();
    let mut stream = Box::pin(stream);
    for before in [None, Some(Step::HandedOver), Some(Step::NotAsked)] {
        if let Some(step) = before {
            steps.send(step).await.unwrap();
        }
        steps.send(Step::NothingThere).await.unwrap();
        timeout(YEAR, &mut stream).await.unwrap_err();
    }
    drop(steps);
    timeout(YEAR, stream).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn polling_a_stream_is_no_progress() {
    let (stream, steps) = stream();
    steps.send(Step::HandedOver).await.unwrap();
    let offered = Instant::now();
    let mut stream = Box::pin(stream);
    // Dropping the timeout and polling anew is what any other wake-up does.
    while timeout(WRITE_TIMEOUT / 7, &mut stream).await.is_err() {}
    assert!((WRITE_TIMEOUT..WRITE_TIMEOUT * 2).contains(&offered.elapsed()), "{:?}", offered.elapsed());
}
