//! Whether what came of the drill is good enough.

use crate::edits::Extent;
use crate::report::{Report, milliseconds};

/// How long half of the reloads of each kind may take, in milliseconds.
const RELOAD: f64 = 50.0;

/// How much longer than at other times calls may take around a reload, all but one in a hundred, in milliseconds.
const DELAY: f64 = 5.0;

/// How late calls may be made, all but one in a hundred, in milliseconds. Beyond it, what was measured is the callers.
const LAG: f64 = 25.0;

/// What is worse than it may be.
pub(crate) fn missed_bounds(report: &Report<'_>) -> Vec<String> {
    let mut missed = Vec::new();
    if report.failed() > 0 {
        missed.push(format!("{} calls were not answered; all must be", report.failed()));
    }
    let quiet = milliseconds(&report.quiet(), 99);
    for (name, extent) in [("one provider", Extent::One), ("all providers", Extent::All)] {
        let took = milliseconds(&report.reloads(extent), 50);
        if took >= RELOAD {
            missed.push(format!("half of the reloads of {name} took {took:.1} ms or more; {RELOAD} are too many"));
        }
        let delay = milliseconds(&report.around(extent), 99) - quiet;
        if delay > DELAY {
            missed.push(format!(
                "the p99 of calls around a reload of {name} was {delay:.1} ms longer than at other times; {DELAY} are allowed"
            ));
        }
    }
    let lag = milliseconds(&report.lags(), 99);
    if lag > LAG {
        missed.push(format!("the p99 of calls was made {lag:.1} ms late, so what was measured is not the gateway"));
    }
    missed
}
