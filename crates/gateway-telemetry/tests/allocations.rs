//! What is on the path of every call allocates nothing.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use gateway_call::{AttemptRecord, CallRecord, Event, Label, Observer, Outcome, RequestId, Tokens, Usage};
use gateway_telemetry::{Metrics, Observers};

fn attempt(provider: &Label, model: &Label, outcome: Outcome, began: u64) -> AttemptRecord {
    AttemptRecord {
        model: (&**model).into(),
        entry: Some(model.clone()),
        provider: provider.clone(),
        provider_type: "openai".into(),
        upstream_model: "upstream".into(),
        outcome,
        status: Some(200),
        span: None,
        began: Duration::from_millis(began),
        head: Some(Duration::from_millis(8)),
        elapsed: Duration::from_millis(10),
    }
}

/// A streamed call that was tried three times, with everything that can be counted.
fn call(observer: &impl Observer, request_id: &RequestId, key: &Label, attempts: &[AttemptRecord]) {
    observer.on_event(&Event::Arrived { path: "/v1/chat/completions" });
    observer.on_event(&Event::Settled(&CallRecord {
        request_id,
        trace: None,
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: None,
        key: Some(key),
        model: Some("big"),
        entry: attempts[0].entry.as_ref(),
        status: 499,
        error: None,
        refused_by: None,
        stream: true,
        attempts,
        answering: attempts.len().checked_sub(1),
        tokens: Some(Tokens { usage: Usage { prompt: 9, completion: 3, cached: 0 }, is_estimated: true }),
        cost_nano_usd: 12_500,
        tags: &[],
        duration: Duration::from_millis(60),
        first_byte: Some(Duration::from_millis(40)),
        overhead: Duration::from_micros(42),
        bytes_out: 99,
    }));
}

#[test]
fn a_known_kind_of_call_is_counted_without_allocating() {
    let observers = Observers::new([Arc::new(Metrics::new()) as Arc<dyn Observer>]);
    let [key, other, big, small, provider] = ["team", "other", "big", "small", "main"].map(Label::of);
    let request_id = RequestId::from_random(1);
    let attempts = [
        attempt(&provider, &big, Outcome::ServerError, 0),
        attempt(&provider, &big, Outcome::Transport, 10),
        attempt(&provider, &small, Outcome::Cancelled, 20),
    ];
    let first = measure(|| call(&observers, &request_id, &key, &attempts));
    assert!(first.count_total > 0, "the first of its kind is not free, or else nothing is measured");
    let next = measure(|| {
        for _ in 0..1_000 {
            call(&observers, &request_id, &key, &attempts);
        }
    });
    assert_eq!(next.count_total, 0);
    assert!(
        measure(|| call(&observers, &request_id, &other, &attempts)).count_total > 0,
        "another key is another kind"
    );
}
