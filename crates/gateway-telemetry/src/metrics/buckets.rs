//! The upper ends of buckets, fit for calls to language models.
//!
//! A call takes from a millisecond (refused, or answered from a cache upstream) to ten minutes (a long answer, reasoned over); the gateway's
//! own part of it from 10 µs to 100 ms, beyond which it is in trouble and no number of buckets helps. All are seconds, or tokens per second.

use prometheus_client::metrics::histogram::Histogram;

/// Whole calls, and their parts that wait for an upstream.
pub(super) fn call() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
        600.0,
    ])
}

/// The gateway's own part of a call.
pub(super) fn overhead() -> Histogram {
    Histogram::new([1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1])
}

/// Tokens per second.
pub(super) fn token_rate() -> Histogram {
    Histogram::new([1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1_000.0])
}
