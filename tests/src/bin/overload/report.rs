//! What came of the drill, as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::course::{Course, KEYS, Phase};
use crate::load::{Call, End};
use crate::meter::Meter;

/// How many kinds of failures are shown.
const MOST_SHOWN: usize = 5;

const HEAD: &str = "\
|          |         |         |          |         |      answered, ms       |       refused, ms       |  memory, MiB  |
| phase    | offered | goodput |   of the | refused |   p50 |   p99 |     max |   p50 |   p99 |     max | begin |   end |
|          |     a s |     a s | capacity |     a s |       |       |         |       |       |         |       |       |
|----------|--------:|--------:|---------:|--------:|------:|------:|--------:|------:|------:|--------:|------:|------:|
";

const KEYS_HEAD: &str = "
| key, in  | offered | goodput |   of the | refused |      answered, ms       |
| overload |     a s |     a s | answered |     a s |   p50 |   p99 |     max |
|----------|--------:|--------:|---------:|--------:|------:|------:|--------:|
";

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) course: &'a Course,
    pub(crate) calls: &'a [Call],
    pub(crate) meter: &'a Meter,
}

/// Some of the calls.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many were made.
    pub(crate) offered: usize,
    /// How long the answers took, sorted.
    pub(crate) answered: Vec<Duration>,
    /// The same of the refusals.
    pub(crate) refused: Vec<Duration>,
}

impl Report<'_> {
    /// The calls that ended in a phase, of one key or of all; made are those that were in it.
    pub(crate) fn tally(&self, phase: &Phase, key: Option<usize>) -> Tally {
        let mut tally = Tally::default();
        for call in self.calls.iter().filter(|call| key.is_none_or(|key| call.key == key)) {
            tally.offered += usize::from(phase.contains(call.at));
            if phase.contains(call.at + call.took) {
                match call.end {
                    End::Answered => tally.answered.push(call.took),
                    End::Refused { .. } => tally.refused.push(call.took),
                    End::Failed(_) => {}
                }
            }
        }
        tally.answered.sort_unstable();
        tally.refused.sort_unstable();
        tally
    }

    /// How much of what can be served was.
    pub(crate) fn goodput(&self, phase: &Phase) -> f64 {
        rate(self.tally(phase, None).answered.len(), phase) / self.course.capacity
    }

    /// How much later than they were due calls were made, sorted.
    pub(crate) fn lags(&self) -> Vec<Duration> {
        let mut lags: Vec<_> = self.calls.iter().map(|call| call.at.saturating_sub(call.due)).collect();
        lags.sort_unstable();
        lags
    }

    fn phase_row(&self, f: &mut fmt::Formatter<'_>, phase: &Phase, memory: [Option<u64>; 2]) -> fmt::Result {
        let [begin, end] = memory.map(|bytes| bytes.map_or("?".to_owned(), in_mebibytes));
        let tally = self.tally(phase, None);
        writeln!(
            f,
            "| {:<8} | {:>7.1} | {:>7.1} | {:>6.1} % | {:>7.1} | {} | {} | {begin:>5} | {end:>5} |",
            phase.name,
            rate(tally.offered, phase),
            rate(tally.answered.len(), phase),
            100.0 * self.goodput(phase),
            rate(tally.refused.len(), phase),
            times(&tally.answered),
            times(&tally.refused),
        )
    }

    fn key_row(&self, f: &mut fmt::Formatter<'_>, key: usize) -> fmt::Result {
        let phase = &self.course.overload;
        let (own, all) = (self.tally(phase, Some(key)), self.tally(phase, None));
        writeln!(
            f,
            "| {:<8} | {:>7.1} | {:>7.1} | {:>6.1} % | {:>7.1} | {} |",
            KEYS[key].name,
            rate(own.offered, phase),
            rate(own.answered.len(), phase),
            100.0 * rate(own.answered.len(), phase) / rate(all.answered.len(), phase).max(f64::MIN_POSITIVE),
            rate(own.refused.len(), phase),
            times(&own.answered),
        )
    }

    fn costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let growth = self.meter.growth().map_or("?".to_owned(), in_mebibytes);
        writeln!(f, "\nmemory: the gateway grew by {growth} MiB in the second half of the overload")?;
        let cores = |cores: Option<f64>| cores.map_or("unknown".to_owned(), |cores| format!("{cores:.2}"));
        let (gateway, own) = (cores(self.meter.gateway_cores), cores(self.meter.own_cores));
        writeln!(
            f,
            "cores in use during the overload: {gateway} by the gateway, {own} by the callers and the upstream"
        )?;
        let lags = self.lags();
        let [half, most, all] = [50, 99, 100].map(|percent| milliseconds(&lags, percent));
        writeln!(f, "calls were made behind their time by: p50 {half:.1} ms, p99 {most:.1} ms, max {all:.1} ms")
    }

    fn failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for call in self.calls {
            if let End::Failed(failure) = &call.end {
                *kinds.entry(failure).or_default() += 1;
            }
        }
        for (failure, count) in kinds.iter().take(MOST_SHOWN) {
            writeln!(f, "{count} times: {failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "capacity: {:.1} calls a second\n", self.course.capacity)?;
        f.write_str(HEAD)?;
        for (phase, memory) in self.course.phases().iter().zip(self.meter.memory_of_phases()) {
            self.phase_row(f, phase, memory)?;
        }
        f.write_str(KEYS_HEAD)?;
        for key in 0..KEYS.len() {
            self.key_row(f, key)?;
        }
        self.costs(f)?;
        self.failures(f)
    }
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "no drill has 2^52 calls")]
pub(crate) fn rate(count: usize, phase: &Phase) -> f64 {
    count as f64 / phase.seconds()
}

/// A percentile of sorted times; zero if there are none.
pub(crate) fn milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

fn times(sorted: &[Duration]) -> String {
    let [half, most, all] = [50, 99, 100].map(|percent| milliseconds(sorted, percent));
    format!("{half:>5.1} | {most:>5.1} | {all:>7.1}")
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^52 bytes")]
fn in_mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
