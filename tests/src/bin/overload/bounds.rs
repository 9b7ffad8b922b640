//! Whether what came of the drill is good enough.

use std::time::Duration;

use crate::course::{KEYS, Phase};
use crate::load::{Call, End};
use crate::report::{Report, milliseconds};

/// How much of what can be served is served, at least.
const GOODPUT: f64 = 0.9;

/// The same where the machine may stand still for seconds.
const SLOW_GOODPUT: f64 = 0.1;

/// Within what time all but one in a hundred of those who are turned away are told so, in milliseconds.
const REFUSAL: f64 = 100.0;

/// How long calls of a key may wait that asks for less than its part, all but one in a hundred, in milliseconds and beyond the
/// time that the upstream takes for one: so long it may be until any place is free, because places that were taken together
/// are left together. Then it waits for one call of each other key at most, which is a few milliseconds. In a line without
/// turns it would be a quarter of a second.
const DELAY: f64 = 50.0;

/// By how much the gateway may grow in the second half of the overload, in bytes.
const GROWTH: u64 = 10_000_000;

/// When nobody is turned away any more for what was before: nobody waits for longer, so that the line is shorter by then.
const RECOVERY: Duration = Duration::from_secs(1);

/// How late calls may be made, all but one in a hundred, in milliseconds. Beyond it, what was measured is the callers.
const LAG: f64 = 25.0;

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    All,
    /// Not what depends on how fast the machine is.
    Counts,
}

/// What is worse than it may be.
pub(crate) fn missed_bounds(report: &Report<'_>, judged: Judged) -> Vec<String> {
    let mut missed = Vec::new();
    answers(report, &mut missed);
    let least = if judged == Judged::All { GOODPUT } else { SLOW_GOODPUT };
    let goodput = report.goodput(&report.course.overload);
    if goodput < least {
        missed.push(format!(
            "{:.1} % of the capacity was used; at least {:.0} % must be",
            goodput * 100.0,
            least * 100.0
        ));
    }
    if judged == Judged::All {
        times(report, &mut missed);
        calm(report, &mut missed);
        quiet_keys(report, &mut missed);
    } else {
        quiet_keys_fare_better(report, &mut missed);
    }
    missed
}

/// Whoever is not served is told so, and when to come again.
fn answers(report: &Report<'_>, missed: &mut Vec<String>) {
    let count = |is: fn(&End) -> bool| report.calls.iter().filter(|call| is(&call.end)).count();
    let failed = count(|end| matches!(end, End::Failed(_)));
    if failed > 0 {
        missed.push(format!("{failed} calls were neither answered nor turned away; none may"));
    }
    let silent = count(|end| matches!(end, End::Refused { says_when: false }));
    if silent > 0 {
        missed.push(format!("{silent} refusals did not say when to come again; all must"));
    }
    if count(|end| matches!(end, End::Refused { .. })) == 0 {
        missed.push("nobody was turned away, so there was no overload".to_owned());
    }
}

fn times(report: &Report<'_>, missed: &mut Vec<String>) {
    let refusal = milliseconds(&report.tally(&report.course.overload, None).refused, 99);
    if refusal > REFUSAL {
        missed.push(format!("the p99 of refusals took {refusal:.1} ms; {REFUSAL} are allowed"));
    }
    match report.meter.growth() {
        Some(growth) if growth > GROWTH => {
            missed.push(format!("the gateway grew by {growth} bytes in the second half; {GROWTH} are allowed"));
        }
        _ => {}
    }
    let lag = milliseconds(&report.lags(), 99);
    if lag > LAG {
        missed.push(format!("the p99 of calls was made {lag:.1} ms late, so what was measured is not the gateway"));
    }
}

/// Below its capacity the gateway turns nobody away, also when it has just been far above it.
fn calm(report: &Report<'_>, missed: &mut Vec<String>) {
    for phase in [report.course.before, report.course.after.without_first(RECOVERY)] {
        let refused = report.tally(&phase, None).refused.len();
        if refused > 0 {
            missed.push(format!("{refused} calls were turned away {} the overload; none may", phase.name));
        }
    }
}

/// Who asks for less than its part is served as if nobody asked for more.
fn quiet_keys(report: &Report<'_>, missed: &mut Vec<String>) {
    let (overload, latency) = (report.course.overload, report.course.latency.as_secs_f64() * 1000.0);
    for (index, key) in KEYS.iter().enumerate().filter(|(_, key)| !key.floods) {
        let is_refused = |call: &&Call| call.key == index && matches!(call.end, End::Refused { .. });
        let refused = report.calls.iter().filter(is_refused).filter(|call| overload.contains(call.at));
        if let Some(first) = refused.clone().map(|call| call.at.saturating_sub(overload.begins)).min() {
            let (count, first) = (refused.count(), first.as_secs_f64());
            missed.push(format!("{count} calls of {} were turned away, the first at {first:.2} s; none may", key.name));
        }
        let delay = milliseconds(&report.tally(&overload, Some(index)).answered, 99) - 2.0 * latency;
        if delay > DELAY {
            missed.push(format!(
                "the p99 of {} waited {delay:.1} ms longer than the upstream takes; {DELAY} are allowed",
                key.name
            ));
        }
    }
}

/// Where the machine stands still for a moment, nobody is let into line. Even so, the flood has to bear most of it.
fn quiet_keys_fare_better(report: &Report<'_>, missed: &mut Vec<String>) {
    let share = |index: usize| refused_share(report, index, &report.course.overload);
    let flood = KEYS.iter().position(|key| key.floods).map_or(0.0, share);
    for (index, key) in KEYS.iter().enumerate().filter(|(_, key)| !key.floods) {
        if share(index) > flood {
            let (own, flood) = (share(index) * 100.0, flood * 100.0);
            missed.push(format!("{own:.0} % of {} was turned away, and {flood:.0} % of the flood", key.name));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no drill has 2^52 calls")]
fn refused_share(report: &Report<'_>, key: usize, phase: &Phase) -> f64 {
    let tally = report.tally(phase, Some(key));
    tally.refused.len() as f64 / (tally.refused.len() + tally.answered.len()).max(1) as f64
}
