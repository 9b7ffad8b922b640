//! What becomes of batches, whatever the receiver does.

use std::time::Duration;

use gateway_testing::{FakeUpstream, Script};
use gateway_traces::Traces;

use crate::calls::{place, run, settings, settle, spans_of, taken};

const MINUTE: Duration = Duration::from_mins(1);

fn settle_many(traces: &Traces, count: u64) {
    (1..=count).for_each(|span| settle(traces, Some(place(1, span, None))));
}

#[tokio::test]
async fn a_batch_is_sent_again_until_it_is_taken() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    let receiver = FakeUpstream::start([Script::new().write(busy), taken()]).await.unwrap();
    let running = run(&receiver, &[], MINUTE);
    settle_many(&running.traces, 3);
    let first = receiver.request(0).await;
    let second = receiver.request(1).await;
    assert_eq!(first.body, second.body);
    running.stop.cancel();
    running.ended.await.unwrap();
    assert_eq!((running.traces.exported(), running.traces.dropped()), (3, 0));
}

#[tokio::test]
async fn a_batch_that_is_refused_is_dropped_and_the_next_is_sent() {
    let receiver = FakeUpstream::start([Script::new().answer(400, "text/plain", "no"), taken()]).await.unwrap();
    let running = run(&receiver, &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")], MINUTE);
    settle_many(&running.traces, 4);
    running.stop.cancel();
    running.ended.await.unwrap();
    assert_eq!(receiver.requests().iter().map(|request| spans_of(request).len()).collect::<Vec<_>>(), [6, 6]);
    assert_eq!((running.traces.exported(), running.traces.dropped()), (2, 2));
    assert_eq!(receiver.connections(), 1, "a refusal does not end the connection");
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_spans_and_no_call() {
    let receiver = FakeUpstream::start([Script::new().stall()]).await.unwrap();
    let running = run(&receiver, &[("OTEL_BSP_MAX_QUEUE_SIZE", "8")], Duration::ZERO);
    settle_many(&running.traces, 1);
    receiver.request(0).await;
    // Each is a call that goes on: nothing here waits.
    settle_many(&running.traces, 100);
    assert_eq!(running.traces.dropped(), 92, "eight wait");
    running.stop.cancel();
    running.ended.await.unwrap();
    assert_eq!((running.traces.exported(), running.traces.dropped()), (0, 101));
    settle_many(&running.traces, 1);
    assert_eq!(running.traces.dropped(), 102, "what comes after the end is counted as well");
    receiver.connection_closed(0).await;
}

#[tokio::test]
async fn what_is_queued_is_sent_at_the_end() {
    let receiver = FakeUpstream::start([taken(), taken()]).await.unwrap();
    let (traces, exporter) = Traces::new(settings(&receiver, &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512")])).unwrap();
    settle_many(&traces, 600);
    exporter.run(std::future::ready(()), MINUTE).await;
    assert_eq!(
        receiver.requests().iter().map(|request| spans_of(request).len()).collect::<Vec<_>>(),
        [512 * 3, 88 * 3]
    );
    assert_eq!((traces.exported(), traces.dropped()), (600, 0));
}

#[tokio::test]
async fn it_ends_with_the_last_observer() {
    let receiver = FakeUpstream::start([taken()]).await.unwrap();
    let (traces, exporter) = Traces::new(settings(&receiver, &[])).unwrap();
    settle_many(&traces, 1);
    let other = traces.clone();
    drop((traces, other));
    exporter.run(std::future::pending(), MINUTE).await;
    assert_eq!(spans_of(&receiver.request(0).await).len(), 3);
}

#[tokio::test]
async fn a_receiver_gets_its_key_and_nobody_else_does() {
    let receiver = FakeUpstream::start([taken()]).await.unwrap();
    let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary,user-agent=mine")];
    let (traces, exporter) = Traces::new(settings(&receiver, &headers)).unwrap();
    settle_many(&traces, 1);
    for shown in [format!("{traces:?}"), format!("{exporter:?}"), format!("{exporter:#?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    exporter.run(std::future::ready(()), MINUTE).await;
    let request = receiver.request(0).await;
    assert_eq!(request.header("authorization"), Some("Bearer canary"));
    let agents: Vec<_> = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("user-agent")).collect();
    assert_eq!(agents.len(), 1);
    assert!(!String::from_utf8_lossy(&request.body).contains("canary"));
}
