//! The table: for each case a line for everybody measured, and what the gateway reached of what it has to.

use std::fmt;

use crate::case::{Bound, Case, Column, Goal};
use crate::rows::Rows;

/// What was measured, to be printed.
pub(crate) struct Report<'a> {
    pub(crate) cases: &'a [&'static Case],
    pub(crate) rows: &'a Rows,
}

/// How many times as much as the leanest proxy the upstream has to manage in the same processor time.
const UPSTREAM_ROOM: f64 = 2.0;

impl Report<'_> {
    /// Why the figures cannot be relied on: answers that were wrong, and an upstream that may have been what limited.
    pub(crate) fn faults(&self) -> Vec<String> {
        let wrong = self.rows.0.iter().filter_map(|row| Some((row, row.outcome.as_ref().filter(|it| it.errors > 0)?)));
        let told = wrong.map(|(row, outcome)| {
            let (case, who, round) = (row.case, &row.who, row.round + 1);
            format!("{case}, {who}, round {round}: {} wrong: {}", outcome.errors, outcome.first_errors.join("; "))
        });
        let slow = self.cases.iter().filter_map(|case| {
            let (told, is_enough) = self.upstream_room(case)?;
            (!is_enough).then(|| format!("{}: {told}", case.name))
        });
        told.chain(slow).collect()
    }

    /// How the upstream alone compares, and whether it takes little enough; `None` where that does not matter or was not measured.
    fn upstream_room(&self, case: &Case) -> Option<(String, bool)> {
        let upstream = case.upstream?;
        let median = |who: &str, column| self.rows.spread(case.name, who, column).map(|spread| spread.median);
        let proxies = || self.rows.measured(case.name).into_iter().filter(|who| *who != "none");
        let leanest = proxies().filter_map(|who| median(who, upstream.cpu)).reduce(f64::min)?;
        let fastest = proxies().filter_map(|who| median(who, upstream.rate)).reduce(f64::max)?;
        let lean = leanest / median("none", upstream.cpu)?;
        let fast = median("none", upstream.rate)? / fastest;
        let is_enough = !upstream.is_judged || lean >= UPSTREAM_ROOM;
        let verdict = match (upstream.is_judged, is_enough) {
            (true, true) => "enough",
            (true, false) => "TOO SLOW: the rates do not stand",
            (false, _) => "it is what limits the rates",
        };
        let told = format!(
            "none (the upstream alone): {lean:.1} times as much in a CPU second as the leanest proxy, {fast:.1} times the fastest \
             one's {}; {verdict}",
            upstream.rate
        );
        Some((told, is_enough))
    }

    fn case(&self, f: &mut fmt::Formatter<'_>, case: &Case) -> fmt::Result {
        writeln!(f, "\n{} ({})", case.title, case.name)?;
        let measured = self.rows.measured(case.name);
        let first = measured.iter().map(|who| who.len()).max().unwrap_or_default().max(8);
        let cells: Vec<Vec<String>> = case.columns.iter().map(|column| self.column(case, column, &measured)).collect();
        let widths: Vec<_> =
            cells.iter().map(|cells| cells.iter().map(|it| it.chars().count()).max().unwrap_or_default()).collect();
        for (line, who) in std::iter::once("").chain(measured).enumerate() {
            write!(f, "  {who:<first$}")?;
            for (cells, width) in cells.iter().zip(&widths) {
                write!(f, "   {:<width$}", cells[line])?;
            }
            writeln!(f)?;
        }
        for goal in case.goals {
            writeln!(f, "  {}", self.goal(case, goal))?;
        }
        self.upstream_room(case).map_or(Ok(()), |(told, _)| writeln!(f, "  {told}"))
    }

    /// The heading, and what stands under it for each one measured.
    fn column(&self, case: &Case, column: &Column, measured: &[&str]) -> Vec<String> {
        let digits = column.digits;
        let cell = |who: &&str| {
            let spread = self.rows.spread(case.name, who, column.heading);
            spread.map_or_else(
                || "-".to_owned(),
                |it| format!("{:.digits$} ({:.digits$}..{:.digits$})", it.median, it.least, it.greatest),
            )
        };
        std::iter::once(column.heading.to_owned()).chain(measured.iter().map(cell)).collect()
    }

    fn goal(&self, case: &Case, goal: &Goal) -> String {
        let median = |who: &str| self.rows.spread(case.name, who, goal.column).map(|spread| spread.median);
        let digits = case.columns.iter().find(|column| column.heading == goal.column).map_or(1, |column| column.digits);
        let (said, reached, is_met) = match (goal.bound, median(goal.who)) {
            (Bound::AtMost(bound), Some(value)) => (format!("<= {bound}"), format!("{value:.digits$}"), value <= bound),
            (Bound::AtLeast(bound), Some(value)) => {
                (format!(">= {bound}"), format!("{value:.digits$}"), value >= bound)
            }
            (Bound::Times(times, other), Some(value)) => match median(other) {
                Some(of) => (format!("<= {times} x {other}"), format!("{:.2} x", value / of), value <= times * of),
                None => {
                    return format!("{:<4} {} <= {times} x {other}: not judged, no {other}", goal.word, goal.column);
                }
            },
            (_, None) => return format!("{:<4} {}: not judged, no {}", goal.word, goal.column, goal.who),
        };
        let verdict = if is_met { "met" } else { "NOT MET" };
        format!("{:<4} {} {said}: {reached}, {verdict}", goal.word, goal.column)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cases.iter().try_for_each(|case| self.case(f, case))
    }
}
