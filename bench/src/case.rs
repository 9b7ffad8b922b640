//! The cases of the table: what is measured, and what has to be reached.

mod calls;
mod driven;
mod forms;
mod rest;
mod start;
mod streams;

use anyhow::Result;

use crate::bench::Bench;
use crate::rows::Rows;

/// A line of the performance contract.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What it is, in a sentence.
    pub(crate) title: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) goals: &'static [Goal],
    /// Where rates are limited by what is measured, or by the upstream.
    pub(crate) upstream: Option<Upstream>,
    pub(crate) run: fn(&Case, &Bench, &mut Rows) -> Result<()>,
}

/// What is told of the upstream alone, beside the proxies. Both name columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upstream {
    /// Processor time, of which it may take at most half of what the leanest proxy takes. Judged by that, and not by rates: these
    /// depend on what else runs on the machine.
    pub(crate) cpu: &'static str,
    pub(crate) rate: &'static str,
    /// Whether the run fails where it takes more; not where it is meant to limit the rate.
    pub(crate) is_judged: bool,
}

/// One figure.
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    /// Digits behind the point.
    pub(crate) digits: usize,
}

/// What the gateway has to reach.
pub(crate) struct Goal {
    pub(crate) word: &'static str,
    /// The heading of the column.
    pub(crate) column: &'static str,
    /// Who has to reach it.
    pub(crate) who: &'static str,
    pub(crate) bound: Bound,
}

/// Where a goal lies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// So many times what another one takes.
    Times(f64, &'static str),
}

const fn column(heading: &'static str, digits: usize) -> Column {
    Column { heading, digits }
}

const fn must(column: &'static str, bound: Bound) -> Goal {
    Goal { word: "must", column, who: "gateway", bound }
}

const fn aim(column: &'static str, bound: Bound) -> Goal {
    Goal { word: "aim", column, who: "gateway", bound }
}

/// All cases, in the order in which they are run.
pub(crate) fn all() -> Vec<&'static Case> {
    vec![
        &calls::PLAIN,
        &calls::SINGLE,
        &calls::BURST,
        &calls::LARGE,
        &streams::SLOW_STREAMS,
        &streams::IDLE_STREAMS,
        &start::START,
        &rest::REST_CASE,
        &forms::GROWTH,
        &forms::WORKERS,
    ]
}
