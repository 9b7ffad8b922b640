//! What each observer alone takes of a plain call that nobody made.

use std::hint::black_box;
use std::num::{NonZeroU64, NonZeroU128};
use std::time::Duration;

use gateway_core::call::{
    AttemptRecord, CallRecord, CallTrace, Endpoint, Event, Label, Observer, Outcome, RequestId, Tokens, TraceParent,
    Usage,
};

use crate::run::{self, Row};
use gateway_tests::counted::audience::{Audience, Told};

/// The one row of an observer.
pub(crate) fn rows(observer: &str) -> Vec<Row> {
    vec![Row::new(format!("observers: {observer}"), 2_000)]
}

/// Tells one of calls.
pub(crate) fn count(rows: &[Row], told: Told, receiver: &str) {
    let audience = Audience::of(told, receiver);
    let call = Answered::new(told.traces == Some(true));
    for row in rows {
        run::count(row, || call.tell(&*audience.observer));
    }
    audience.dismiss();
}

/// What the record of an answered call borrows.
struct Answered {
    request_id: RequestId,
    trace: CallTrace,
    key: Label,
    model: Label,
    attempts: [AttemptRecord; 1],
}

impl Answered {
    fn new(is_sampled: bool) -> Self {
        let own = TraceParent::new(NonZeroU128::MAX, NonZeroU64::MAX, is_sampled);
        let model = Label::of("gpt-4o-mini");
        let attempt = AttemptRecord {
            model: "gpt-4o-mini".into(),
            entry: Some(model.clone()),
            provider: Label::of("main"),
            provider_type: Label::of("openai"),
            upstream_model: "gpt-4o-mini-2024-07-18".into(),
            outcome: Outcome::Success,
            status: Some(200),
            span: NonZeroU64::new(60),
            began: Duration::from_micros(60),
            head: Some(Duration::from_micros(23_456)),
            elapsed: Duration::from_millis(2_285),
        };
        Self {
            request_id: RequestId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            trace: CallTrace { own, parent: None },
            key: Label::of("Production Key"),
            model,
            attempts: [attempt],
        }
    }

    fn tell(&self, observer: &dyn Observer) {
        let record = self.record();
        observer.on_event(black_box(&Event::Arrived { path: record.path }));
        observer.on_event(black_box(&Event::Settled(&record)));
    }

    fn record(&self) -> CallRecord<'_> {
        CallRecord {
            request_id: &self.request_id,
            trace: Some(self.trace),
            method: "POST",
            path: "/v1/chat/completions",
            endpoint: Some(Endpoint::ChatCompletions),
            key: Some(&self.key),
            model: Some("gpt-4o-mini"),
            entry: Some(&self.model),
            status: 200,
            error: None,
            refused_by: None,
            stream: false,
            attempts: &self.attempts,
            answering: Some(0),
            tokens: Some(Tokens { usage: Usage { prompt: 812, completion: 240, cached: 512 }, is_estimated: false }),
            cost_nano_usd: 4_430_000,
            tags: &[],
            duration: Duration::from_micros(2_345_678),
            first_byte: Some(Duration::from_micros(345_678)),
            overhead: Duration::from_micros(67),
            bytes_out: 1_234,
        }
    }
}
