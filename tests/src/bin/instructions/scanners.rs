//! Reading what passes through, and two steps that are all arithmetic; each without a gateway around it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_core::call::{Endpoint, RequestId};
use gateway_core::protocol::{Served, StreamRewriter, parse_json, scan_answer};
use gateway_core::ratelimit::{Demand, LimitStore, LocalLimits, Moment, NanoUsd, RateLimit, Used};
use gateway_secret::KeyDigest;
use gateway_sse::{Frame, MAX_EVENT, SseDecoder};
use jiff::Timestamp;

use crate::run::{self, Row};
use gateway_tests::counted::bodies;

/// How many frames lie in one chunk.
const FRAMES: u16 = 64;

/// A scanner at work, once it is set up.
type Work = Box<dyn FnMut()>;

/// A name, how often it is counted, how many there are in one go, and what is done.
type Scanner = (&'static str, u32, u32, fn() -> Work);

const SCANNERS: [Scanner; 8] = [
    ("read a request of 1 KiB", 400, 1, || request(1024)),
    ("read a request of 64 KiB", 60, 1, || request(64 * 1024)),
    ("read a request of 1 MiB", 10, 1, || request(1024 * 1024)),
    ("read an answer of 1.2 kB", 400, 1, answer),
    ("split a frame off a chunk", 40, FRAMES as u32, split),
    ("rewrite a frame", 40, FRAMES as u32, rewrite),
    ("digest a key", 400, 1, digest),
    ("reserve and settle limits", 400, 1, limits),
];

pub(crate) fn rows() -> Vec<Row> {
    let row = |(name, times, each, _)| Row { each, ..Row::new(format!("scanners: {name}"), times) };
    SCANNERS.map(row).into()
}

/// Does them all, one after the other.
pub(crate) fn count(rows: &[Row]) {
    for (row, (.., set_up)) in rows.iter().zip(SCANNERS) {
        run::count(row, set_up());
    }
}

fn request(size: usize) -> Work {
    let body = bodies::chat_request("gpt-4o-mini", false, size);
    Box::new(move || drop(black_box(parse_json(Endpoint::ChatCompletions, body.clone()).expect("a good request"))))
}

fn answer() -> Work {
    Box::new(|| drop(black_box(scan_answer(black_box(bodies::ANSWER.as_bytes())).expect("JSON"))))
}

fn split() -> Work {
    let chunk = Bytes::from(bodies::FRAME.repeat(FRAMES.into()));
    let mut decoder = SseDecoder::new(MAX_EVENT);
    Box::new(move || {
        decoder.push(chunk.clone());
        while let Some(frame) = decoder.next_frame().expect("they are small") {
            black_box(frame);
        }
    })
}

/// Frames behind the first, which gains more than the others.
fn rewrite() -> Work {
    let mut decoder = SseDecoder::new(MAX_EVENT);
    decoder.push(Bytes::from(bodies::FRAME.repeat(FRAMES.into())));
    let frames: Vec<Frame> = std::iter::from_fn(|| decoder.next_frame().expect("they are small")).collect();
    let request_id = RequestId::from_random(1);
    let served = Served {
        model: "gpt-4o-mini",
        provider: "main",
        upstream_model: "gpt-4o-mini-2024-07-18",
        attempts: &[],
        request_id: &request_id,
    };
    let mut rewriter = StreamRewriter::new(Endpoint::ChatCompletions, Some(&served));
    let mut out = BytesMut::new();
    Box::new(move || {
        for frame in &frames {
            out.clear();
            black_box(rewriter.frame(frame, &mut out));
        }
    })
}

fn digest() -> Work {
    Box::new(|| {
        black_box(KeyDigest::of(black_box(b"sk-production-0123456789abcdef0123456789abcdef")));
    })
}

fn limits() -> Work {
    let rate_limit = RateLimit {
        requests_per_second: Some(1_000_000),
        tokens_per_minute: Some(1_000_000_000),
        max_concurrent: Some(100),
        ..RateLimit::default()
    };
    let limits = Arc::new(rate_limit.limits(None).expect("they make sense"));
    let key: Arc<str> = "key-0000000000000000".into();
    let mut at = Moment { now: started(), wall: Timestamp::constant(1_769_903_990, 0) };
    let store = LocalLimits::new(at.now);
    Box::new(move || {
        at.now += Duration::from_micros(10);
        let demand = Demand { tokens: 1_000, cost: NanoUsd(1_000) };
        let reservation = store.decide(&key, &limits, demand, at).expect("there is enough");
        store.settle(black_box(reservation), Used { tokens: 300, cost: NanoUsd(300) }, at);
    })
}

#[expect(clippy::disallowed_methods, reason = "an instant cannot be had otherwise, and any will do")]
fn started() -> std::time::Instant {
    std::time::Instant::now()
}
