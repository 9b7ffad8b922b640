//! What came of the drill, and whether that is good enough.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::load::Call;
use crate::outage::{Outage, Phase};

/// The most requests to upstreams for each call: an outage must not be multiplied.
const MOST_REQUESTS: f64 = 1.25;

/// How soon an upstream that came back has its share again.
const SOON: Duration = Duration::from_secs(5);

/// How long it must have had its share to have it again.
const A_WHILE: Duration = Duration::from_secs(1);

/// How much of its share it must have had in that time; arrivals are not evenly spread to the last one.
const NEARLY: f64 = 0.9;

/// How many kinds of failures are shown.
const MOST_SHOWN: usize = 5;

/// The head of the table.
const HEAD: &str = "\
| phase     |           time | calls | failures |  to a |  to b | per call | p50 ms | p99 ms | max ms |
|-----------|---------------:|------:|---------:|------:|------:|---------:|-------:|-------:|-------:|
";

/// Everything that was seen. Times are since the drill began.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) outage: &'a Outage,
    pub(crate) calls: &'a [Call],
    /// When `a` was asked.
    pub(crate) a: Vec<Duration>,
    /// When `b` was asked.
    pub(crate) b: Vec<Duration>,
}

impl Report<'_> {
    /// What is worse than it may be.
    pub(crate) fn missed_bounds(&self) -> Vec<String> {
        let mut missed = Vec::new();
        let failures = self.calls.iter().filter(|call| call.failure.is_some()).count();
        if failures > 0 {
            missed.push(format!("{failures} calls failed; none may"));
        }
        let ratio = ratio(self.a.len() + self.b.len(), self.calls.len());
        if ratio > MOST_REQUESTS {
            missed.push(format!("{ratio:.3} requests for each call; {MOST_REQUESTS} are allowed"));
        }
        if self.judges_recovery() && self.recovery().is_none_or(|took| took > SOON) {
            missed.push(format!("a did not have its share again within {} s", SOON.as_secs()));
        }
        missed
    }

    /// A drill that ends before the bound does says nothing about it.
    fn judges_recovery(&self) -> bool {
        self.outage.back().length() >= SOON
    }

    /// How long it took from the end of the outage until `a` had been asked for a while as often as before the outage.
    fn recovery(&self) -> Option<Duration> {
        let (before, back) = (self.outage.before(), self.outage.back());
        let share = ratio(count(&self.a, before), 1) / before.length().as_secs_f64();
        let enough = share * A_WHILE.as_secs_f64() * NEARLY;
        let mut since: Vec<Duration> = self.a.iter().copied().filter(|at| back.contains(*at)).collect();
        since.sort_unstable();
        let has_share = |(index, at): &(usize, &Duration)| {
            let first = since.partition_point(|earlier| *earlier + A_WHILE <= **at);
            ratio(index + 1 - first, 1) >= enough
        };
        since.iter().enumerate().find(has_share).map(|(_, at)| at.saturating_sub(back.begins))
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, phase: Phase) -> fmt::Result {
        let calls = || self.calls.iter().filter(|call| phase.contains(call.at));
        let mut times: Vec<Duration> = calls().map(|call| call.took).collect();
        times.sort_unstable();
        let failures = calls().filter(|call| call.failure.is_some()).count();
        let (a, b) = (count(&self.a, phase), count(&self.b, phase));
        writeln!(
            f,
            "| {name:<9} | {:>4.1} to {:>4.1} s | {:>5} | {failures:>8} | {a:>5} | {b:>5} | {:>8.3} | {:>6.1} | {:>6.1} | {:>6.1} |",
            phase.begins.as_secs_f64(),
            phase.ends.as_secs_f64(),
            times.len(),
            ratio(a + b, times.len()),
            milliseconds(&times, 50),
            milliseconds(&times, 99),
            milliseconds(&times, 100),
        )
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for phase in self.outage.phases {
            self.row(f, phase.name, phase)?;
        }
        self.totals(f)
    }
}

impl Report<'_> {
    /// The figures that have bounds.
    fn totals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures: Vec<&str> = self.calls.iter().filter_map(|call| call.failure.as_deref()).collect();
        let requests = self.a.len() + self.b.len();
        writeln!(f, "\ncalls that failed: {} of {} (none may)", failures.len(), self.calls.len())?;
        writeln!(
            f,
            "requests to upstreams for each call: {:.3} (at most {MOST_REQUESTS})",
            ratio(requests, self.calls.len())
        )?;
        let bound = if self.judges_recovery() {
            format!("at most {} s", SOON.as_secs())
        } else {
            "not judged, the drill is too short".to_owned()
        };
        let recovery =
            self.recovery().map_or("not before the end".to_owned(), |it| format!("{:.1} s", it.as_secs_f64()));
        writeln!(f, "from its return until a had its share again: {recovery} ({bound})")?;
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for failure in failures {
            *kinds.entry(failure).or_default() += 1;
        }
        for (failure, count) in kinds.iter().take(MOST_SHOWN) {
            writeln!(f, "{count} times: {failure}")?;
        }
        Ok(())
    }
}

fn count(times: &[Duration], phase: Phase) -> usize {
    times.iter().filter(|at| phase.contains(**at)).count()
}

#[expect(clippy::cast_precision_loss, reason = "no drill has 2^52 calls")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// A percentile of sorted times; zero if there are none.
fn milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
