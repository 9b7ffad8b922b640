//! Calls one after another, as fast as they are answered.

use super::driven::{Driven, Values};
use super::{Bound, Case, Upstream, aim, column, must};
use crate::exchange::{Kind, Size};
use crate::load::Outcome;
use crate::machine::Machine;

pub(super) const CPU_CALL: &str = "CPU µs a call";
pub(super) const RATE: &str = "calls/s";
const CPU_FRAMES: &str = "CPU s per 100,000 frames";
const FRAME_RATE: &str = "frames/s";
const CPU_THOUSAND: &str = "CPU s per 1,000 calls";
const P50: &str = "p50 ms";
const P99: &str = "p99 ms";
const BUSY: &str = "CPU busy %";
const MEDIAN: &str = "median µs";
const ADDED: &str = "added median µs";

pub(super) const PLAIN: Case = Case {
    name: "plain",
    title: "plain call, 1 KiB up, 1.2 kB down, 64 connections",
    columns: &[column(CPU_CALL, 1), column(RATE, 0), column(P50, 2), column(P99, 2), column(BUSY, 0)],
    goals: &[must(CPU_CALL, Bound::Times(1.5, "nginx")), aim(CPU_CALL, Bound::Times(1.0, "nginx"))],
    upstream: Some(Upstream { cpu: CPU_CALL, rate: RATE, is_judged: true }),
    run: |case, bench, rows| {
        Driven { connections: 64, is_upstream_seen: true, values: plain_values, ..Driven::default() }
            .run(case, bench, rows)
    },
};

pub(super) const SINGLE: Case = Case {
    name: "single",
    title: "one connection, one call at a time, everything on one core",
    columns: &[column(ADDED, 1), column(MEDIAN, 1), column(CPU_CALL, 1)],
    goals: &[
        must(ADDED, Bound::AtMost(45.0)),
        must(ADDED, Bound::Times(1.5, "hyper")),
        aim(ADDED, Bound::AtMost(28.0)),
        aim(ADDED, Bound::Times(1.0, "nginx")),
    ],
    upstream: None,
    run: |case, bench, rows| {
        let driven = Driven { cores: Machine::together, values: single_values, ..Driven::default() };
        // Half the time tells the median as well.
        Driven { seconds: Some(bench.seconds / 2.0), ..driven }.run(case, bench, rows)
    },
};

pub(super) const BURST: Case = Case {
    name: "burst",
    title: "32 streams of 64 frames back to back",
    columns: &[column(CPU_FRAMES, 2), column(FRAME_RATE, 0), column(P50, 2), column(P99, 2), column(BUSY, 0)],
    goals: &[must(CPU_FRAMES, Bound::Times(1.2, "nginx")), aim(CPU_FRAMES, Bound::Times(1.0, "haproxy"))],
    // It writes each frame by itself, and no proxy takes as long for one.
    upstream: Some(Upstream { cpu: CPU_FRAMES, rate: FRAME_RATE, is_judged: false }),
    run: |case, bench, rows| {
        Driven { kind: Kind::Burst, connections: 32, is_upstream_seen: true, values: burst_values, ..Driven::default() }
            .run(case, bench, rows)
    },
};

pub(super) const LARGE: Case = Case {
    name: "large",
    title: "request bodies of 1 MiB, 8 connections",
    columns: &[column(CPU_THOUSAND, 3), column(RATE, 0), column(P50, 2), column(P99, 2), column(BUSY, 0)],
    goals: &[must(CPU_THOUSAND, Bound::Times(3.0, "nginx")), aim(CPU_THOUSAND, Bound::Times(1.5, "nginx"))],
    upstream: Some(Upstream { cpu: CPU_THOUSAND, rate: RATE, is_judged: true }),
    run: |case, bench, rows| {
        Driven { size: Size::Large, connections: 8, is_upstream_seen: true, values: large_values, ..Driven::default() }
            .run(case, bench, rows)
    },
};

/// Processor seconds.
#[expect(clippy::cast_precision_loss, reason = "counts of one run")]
pub(super) fn per_call(outcome: &Outcome) -> f64 {
    outcome.cpu_seconds / outcome.calls as f64
}

/// Calls a second.
#[expect(clippy::cast_precision_loss, reason = "counts of one run")]
pub(super) fn rate(outcome: &Outcome) -> f64 {
    outcome.calls as f64 / outcome.seconds
}

fn with_times(outcome: &Outcome, own: [(&'static str, f64); 2]) -> Values {
    let busy = outcome.cpu_seconds / outcome.seconds * 100.0;
    own.into_iter().chain([(P50, outcome.p50 / 1e3), (P99, outcome.p99 / 1e3), (BUSY, busy)]).collect()
}

pub(super) fn plain_values(outcome: &Outcome, _: Option<&Outcome>) -> Values {
    with_times(outcome, [(CPU_CALL, per_call(outcome) * 1e6), (RATE, rate(outcome))])
}

fn single_values(outcome: &Outcome, nobody: Option<&Outcome>) -> Values {
    let own = [(MEDIAN, outcome.p50), (CPU_CALL, per_call(outcome) * 1e6)];
    own.into_iter().chain(nobody.map(|nobody| (ADDED, outcome.p50 - nobody.p50))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn burst_values(outcome: &Outcome, _: Option<&Outcome>) -> Values {
    let frames = Kind::Burst.frames() as f64;
    with_times(outcome, [(CPU_FRAMES, per_call(outcome) / frames * 1e5), (FRAME_RATE, rate(outcome) * frames)])
}

fn large_values(outcome: &Outcome, _: Option<&Outcome>) -> Values {
    with_times(outcome, [(CPU_THOUSAND, per_call(outcome) * 1e3), (RATE, rate(outcome))])
}
