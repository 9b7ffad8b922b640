//! Many streams that are open at once and say little.

use anyhow::Result;

use super::calls::per_call;
use super::driven::{Driven, Values};
use super::{Bound, Case, aim, column, must};
use crate::bench::Bench;
use crate::exchange::Kind;
use crate::launch::most_descriptors;
use crate::load::Outcome;
use crate::rows::Rows;

const SLOW: u32 = 500;
const MEMORY_EACH: &str = "KiB a stream";
const CPU_FRAME: &str = "CPU µs a frame";
const FIRST: &str = "first content ms";
const ADDED_FIRST: &str = "added ms";

const IDLE: u64 = 10_000;
/// Descriptors that a process has besides those of its streams.
const OTHER_DESCRIPTORS: u64 = 100;
/// How many streams begin in a second.
const IDLE_BEGIN: u64 = 2_000;
const MEMORY: &str = "MiB resident";
const AT_ONCE: &str = "streams at once";
const HELD: &str = "held %";

pub(super) const SLOW_STREAMS: Case = Case {
    name: "slow",
    title: "500 streams with a frame every 20 ms",
    columns: &[column(MEMORY_EACH, 1), column(CPU_FRAME, 1), column(FIRST, 2), column(ADDED_FIRST, 2)],
    goals: &[
        must(MEMORY_EACH, Bound::AtMost(32.0)),
        aim(MEMORY_EACH, Bound::AtMost(16.0)),
        must(CPU_FRAME, Bound::Times(1.15, "nginx")),
        aim(CPU_FRAME, Bound::Times(1.0, "nginx")),
        must(ADDED_FIRST, Bound::AtMost(0.8)),
    ],
    upstream: None,
    run: run_slow,
};

pub(super) const IDLE_STREAMS: Case = Case {
    name: "idle",
    title: "10,000 open streams with a frame every few seconds, or as many as descriptors allow",
    columns: &[column(MEMORY, 1), column(AT_ONCE, 0), column(HELD, 0)],
    goals: &[must(MEMORY, Bound::AtMost(300.0)), aim(MEMORY, Bound::AtMost(120.0)), must(HELD, Bound::AtLeast(100.0))],
    upstream: None,
    run: run_idle,
};

fn run_slow(case: &Case, bench: &Bench, rows: &mut Rows) -> Result<()> {
    // Over the length of one stream they begin evenly, so that at any time all places in a stream are there.
    let length = Kind::Slow.pause() * u32::try_from(Kind::Slow.frames())?;
    let driven = Driven {
        kind: Kind::Slow,
        connections: SLOW as usize,
        stagger_us: u64::try_from((length / SLOW).as_micros())?,
        warm_seconds: Some(0.0),
        is_fresh: true,
        values: slow_values,
        ..Driven::default()
    };
    driven.run(case, bench, rows)
}

fn run_idle(case: &Case, bench: &Bench, rows: &mut Rows) -> Result<()> {
    // A proxy has two descriptors for each stream.
    let room = most_descriptors().saturating_sub(OTHER_DESCRIPTORS) / 2;
    let driven = Driven {
        kind: Kind::Idle,
        connections: usize::try_from(IDLE.min(room))?,
        stagger_us: 1_000_000 / IDLE_BEGIN,
        warm_seconds: None,
        seconds: Some(0.0),
        is_fresh: true,
        is_nobody_measured: false,
        most_rounds: 1,
        values: idle_values,
        ..Driven::default()
    };
    driven.run(case, bench, rows)
}

#[expect(clippy::cast_precision_loss, reason = "2^52 bytes are 4 PiB")]
fn slow_values(outcome: &Outcome, nobody: Option<&Outcome>) -> Values {
    let growth = outcome.resident_middle.map(|middle| middle as f64 - outcome.resident_before as f64);
    let frames = Kind::Slow.frames() as f64;
    let own = [(CPU_FRAME, per_call(outcome) / frames * 1e6), (FIRST, outcome.first_p50 / 1e3)];
    let added = nobody.map(|nobody| (ADDED_FIRST, (outcome.first_p50 - nobody.first_p50) / 1e3));
    let memory = growth.map(|growth| (MEMORY_EACH, growth / 1024.0 / f64::from(SLOW)));
    own.into_iter().chain(added).chain(memory).collect()
}

#[expect(clippy::cast_precision_loss, reason = "2^52 bytes are 4 PiB")]
fn idle_values(outcome: &Outcome, _: Option<&Outcome>) -> Values {
    let streams = outcome.most_open as f64;
    let held = streams / (outcome.calls + outcome.errors) as f64 * 100.0;
    Values::from([(MEMORY, outcome.resident_peak as f64 / f64::from(1 << 20)), (AT_ONCE, streams), (HELD, held)])
}
