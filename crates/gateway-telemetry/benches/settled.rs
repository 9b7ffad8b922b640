//! What counting costs a call: its arrival, and its settlement after one attempt.
//!
//! `cargo bench -p gateway-telemetry`

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_call::{AttemptRecord, CallRecord, Event, Label, Observer, Outcome, RequestId, Tokens, Usage};
use gateway_telemetry::{Format, Metrics, Readings};

/// The names of one call.
struct Names {
    request_id: RequestId,
    key: Label,
    model: Label,
    provider: Label,
}

impl Names {
    fn of_key(key: &str) -> Self {
        Self {
            request_id: RequestId::from_random(1),
            key: Label::of(key),
            model: Label::of("gpt-4o"),
            provider: Label::of("main"),
        }
    }

    fn call(&self, metrics: &Metrics, attempts: &[AttemptRecord], stream: bool) {
        let path = "/v1/chat/completions";
        metrics.on_event(&Event::Arrived { path });
        metrics.on_event(&Event::Settled(&CallRecord {
            request_id: &self.request_id,
            trace: None,
            method: "POST",
            path,
            endpoint: None,
            key: Some(&self.key),
            model: Some("gpt-4o"),
            entry: Some(&self.model),
            status: 200,
            error: None,
            refused_by: None,
            stream,
            attempts,
            answering: attempts.len().checked_sub(1),
            tokens: Some(Tokens { usage: Usage { prompt: 12, completion: 90, cached: 0 }, is_estimated: false }),
            cost_nano_usd: 12_000,
            tags: &[],
            duration: Duration::from_millis(900),
            first_byte: Some(Duration::from_millis(200)),
            overhead: Duration::from_micros(60),
            bytes_out: 4_000,
        }));
    }

    fn attempt(&self) -> AttemptRecord {
        AttemptRecord {
            model: "gpt-4o".into(),
            entry: Some(self.model.clone()),
            provider: self.provider.clone(),
            provider_type: "openai".into(),
            upstream_model: "gpt-4o".into(),
            outcome: Outcome::Success,
            status: Some(200),
            span: None,
            began: Duration::from_micros(40),
            head: Some(Duration::from_millis(190)),
            elapsed: Duration::from_millis(890),
        }
    }
}

fn settled(criterion: &mut Criterion) {
    for (name, stream) in [("a plain call", false), ("a streamed call", true)] {
        let (metrics, names) = (Metrics::new(), Names::of_key("team"));
        let attempts = [names.attempt()];
        criterion.bench_function(name, |bencher| bencher.iter(|| names.call(black_box(&metrics), &attempts, stream)));
    }
    let metrics = Metrics::new();
    let keys: Vec<_> = (0..10_000).map(|number| Names::of_key(&format!("key-{number}"))).collect();
    let attempts = [keys[0].attempt()];
    let mut next = 0;
    criterion.bench_function("a plain call, 10,000 keys", |bencher| {
        bencher.iter(|| {
            // A stride that visits all of them, far from each other.
            next = (next + 3_821) % keys.len();
            keys[next].call(&metrics, &attempts, false);
        });
    });
    criterion.bench_function("a scrape of 10,000 keys", |bencher| {
        bencher.iter(|| metrics.encode(Format::OpenMetrics, &Readings::default()));
    });
}

criterion_group!(benches, settled);
criterion_main!(benches);
