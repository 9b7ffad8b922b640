//! What came of the drill, as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::edits::{Extent, Made};
use crate::load::Call;
use crate::machine::Cores;

/// How many kinds of failures are shown.
const MOST_SHOWN: usize = 5;

/// How long before and after a configuration comes into force calls are counted to it: all of the work is in there.
const AROUND: Duration = Duration::from_millis(100);

const HEAD: &str = "
|                              |        |       took, ms          |
| calls                        |  count |   p50 |   p99 |     max |
|------------------------------|-------:|------:|------:|--------:|
";

const RELOADS_HEAD: &str = "\
|                              |        |    worked, ms   | edit to force, ms |
| reloads                      |  count |   p50 |     max |    p50 |      max |
|------------------------------|-------:|------:|--------:|-------:|---------:|
";

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) calls: &'a [Call],
    pub(crate) edits: &'a [Made],
    pub(crate) usage: &'a Cores,
}

impl Report<'_> {
    /// How long calls took while nobody touched the file, sorted.
    pub(crate) fn quiet(&self) -> Vec<Duration> {
        self.calls_that(|call| self.is_quiet(call))
    }

    /// Whether a call was over before the first edit, or made well after the last.
    fn is_quiet(&self, call: &Call) -> bool {
        let is_before = self.edits.first().is_none_or(|first| call.at + call.took < first.written);
        is_before || self.edits.last().is_some_and(|last| call.at >= last.in_force + AROUND)
    }

    /// How long calls took that were under way around a reload of this extent, sorted.
    pub(crate) fn around(&self, extent: Extent) -> Vec<Duration> {
        self.calls_that(|call| self.edits.iter().any(|made| made.extent == extent && is_around(call, made)))
    }

    /// How long calls took between the reloads, sorted.
    fn between(&self) -> Vec<Duration> {
        self.calls_that(|call| !self.is_quiet(call) && !self.edits.iter().any(|made| is_around(call, made)))
    }

    fn calls_that(&self, are_meant: impl Fn(&Call) -> bool) -> Vec<Duration> {
        let calls = self.calls.iter().filter(|call| call.failure.is_none() && are_meant(call));
        sorted(calls.map(|call| call.took))
    }

    /// How long reloads of this extent took, sorted.
    pub(crate) fn reloads(&self, extent: Extent) -> Vec<Duration> {
        sorted(self.edits.iter().filter(|made| made.extent == extent).map(|made| made.took))
    }

    /// How late calls were made, sorted.
    pub(crate) fn lags(&self) -> Vec<Duration> {
        sorted(self.calls.iter().map(|call| call.at.saturating_sub(call.due)))
    }

    /// How many calls came to nothing.
    pub(crate) fn failed(&self) -> usize {
        self.calls.iter().filter(|call| call.failure.is_some()).count()
    }

    fn reload_row(&self, f: &mut fmt::Formatter<'_>, name: &str, extent: Extent) -> fmt::Result {
        let took = self.reloads(extent);
        let waits = self.edits.iter().filter(|made| made.extent == extent);
        let waits = sorted(waits.map(|made| made.in_force.saturating_sub(made.written)));
        writeln!(
            f,
            "| {name:<28} | {:>6} | {:>5.1} | {:>7.1} | {:>6.1} | {:>8.1} |",
            took.len(),
            milliseconds(&took, 50),
            milliseconds(&took, 100),
            milliseconds(&waits, 50),
            milliseconds(&waits, 100)
        )
    }

    fn machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = |cores: Option<f64>| cores.map_or("unknown".to_owned(), |cores| format!("{cores:.2}"));
        let Cores { gateway, own, others, stolen } = self.usage;
        writeln!(
            f,
            "\ncores in use: {} by the gateway, {} by the callers and the upstream, {} by others; {} stolen",
            cores(*gateway),
            cores(*own),
            cores(*others),
            cores(*stolen)
        )?;
        let lags = self.lags();
        let [half, most, all] = [50, 99, 100].map(|percent| milliseconds(&lags, percent));
        writeln!(f, "calls were made behind their time by: p50 {half:.1} ms, p99 {most:.1} ms, max {all:.1} ms")
    }

    fn failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for failure in self.calls.iter().filter_map(|call| call.failure.as_deref()) {
            *kinds.entry(failure).or_default() += 1;
        }
        for (failure, count) in kinds.iter().take(MOST_SHOWN) {
            writeln!(f, "{count} times: {failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RELOADS_HEAD)?;
        self.reload_row(f, "of one provider", Extent::One)?;
        self.reload_row(f, "of all providers", Extent::All)?;
        f.write_str(HEAD)?;
        call_row(f, "nobody touches the file", &self.quiet())?;
        call_row(f, "between reloads", &self.between())?;
        call_row(f, "around one of one provider", &self.around(Extent::One))?;
        call_row(f, "around one of all providers", &self.around(Extent::All))?;
        self.machine(f)?;
        self.failures(f)
    }
}

/// Whether a call was under way within the time around a reload.
fn is_around(call: &Call, made: &Made) -> bool {
    let (begins, ends) = (made.in_force.saturating_sub(AROUND), made.in_force + AROUND);
    call.at < ends && call.at + call.took >= begins
}

fn call_row(f: &mut fmt::Formatter<'_>, name: &str, took: &[Duration]) -> fmt::Result {
    let [half, most, all] = [50, 99, 100].map(|percent| milliseconds(took, percent));
    writeln!(f, "| {name:<28} | {:>6} | {half:>5.1} | {most:>5.1} | {all:>7.1} |", took.len())
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}

/// A percentile of sorted times; zero if there are none.
pub(crate) fn milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
