//! The gateway beside another form of itself: one that knows very much, and one with two workers.

use anyhow::Result;

use super::calls::{CPU_CALL, RATE, per_call, plain_values, rate};
use super::{Bound, Case, Goal, column};
use crate::bench::{Bench, Stage, tell};
use crate::exchange::{Kind, Size};
use crate::load::{Outcome, Plan};
use crate::machine::Cores;
use crate::peer::{Deployment, Peer, Population, Running};
use crate::rows::{Row, Rows};

const CONNECTIONS: usize = 64;
/// As many as there are connections.
const CALLERS: usize = CONNECTIONS;
const TIMES_ONE: &str = "x one worker";
const ONE_OF_EACH: &str = "one of each";
const MANY: &str = "many";
const MANY_CALLERS: &str = "many, 64 callers";
const ONE_WORKER: &str = "one worker";
const TWO_WORKERS: &str = "two workers";
const MOST_WORKERS: usize = 2;

pub(super) const GROWTH: Case = Case {
    name: "growth",
    title: "plain calls with 1,000 providers, 10,000 mappings, 100,000 keys, and with one of each",
    columns: &[column(CPU_CALL, 1), column(RATE, 0)],
    goals: &[
        Goal { word: "must", column: CPU_CALL, who: MANY, bound: Bound::Times(1.1, ONE_OF_EACH) },
        Goal { word: "aim", column: CPU_CALL, who: MANY, bound: Bound::Times(1.0, ONE_OF_EACH) },
        Goal { word: "must", column: CPU_CALL, who: MANY_CALLERS, bound: Bound::Times(1.1, ONE_OF_EACH) },
    ],
    upstream: None,
    run: run_growth,
};

pub(super) const WORKERS: Case = Case {
    name: "workers",
    title: "plain calls with two workers and with one; with fewer than 4 cores `x one worker` is derived: calls per CPU second, times two",
    columns: &[column(TIMES_ONE, 2), column(CPU_CALL, 1), column(RATE, 0)],
    goals: &[
        Goal { word: "must", column: TIMES_ONE, who: TWO_WORKERS, bound: Bound::AtLeast(1.8) },
        Goal { word: "aim", column: TIMES_ONE, who: TWO_WORKERS, bound: Bound::AtLeast(1.95) },
    ],
    upstream: None,
    run: run_workers,
};

/// The gateway in one of its forms.
struct Form<'a> {
    name: &'static str,
    stage: Stage<'a>,
    _running: Running,
    plan: Plan,
}

impl<'a> Form<'a> {
    fn start(bench: &'a Bench, name: &'static str, cores: Cores, deployment: &Deployment) -> Result<Self> {
        let stage = bench.stage(cores)?;
        let running = stage.start(Peer::Gateway, deployment)?;
        let plan = Plan {
            address: running.address,
            asks: deployment.population.asks(Kind::Plain),
            kind: Kind::Plain,
            size: Size::Small,
            is_rewritten: true,
            connections: CONNECTIONS,
            stagger_us: 0,
            // Long enough for the gateway to have a connection for each of many providers.
            warm_seconds: Some(1.0),
            seconds: bench.seconds,
            watched: running.id(),
            is_memory_watched: false,
        };
        Ok(Self { name, stage, _running: running, plan })
    }

    fn measure(&self) -> Result<Outcome> {
        self.stage.drive(&self.plan)
    }
}

fn run_growth(case: &Case, bench: &Bench, rows: &mut Rows) -> Result<()> {
    let start = |name, population| {
        tell(case.name, 0, bench.rounds, &format!("preparing {name}"));
        Form::start(bench, name, bench.machine.apart(), &Deployment { workers: 1, population })
    };
    let forms = [
        start(ONE_OF_EACH, Population::OneOfEach)?,
        start(MANY, Population::Many { callers: 1 })?,
        // What they take more is what active callers take, and how large the processor's caches are.
        start(MANY_CALLERS, Population::Many { callers: CALLERS })?,
    ];
    in_turn(case, bench, &forms, |_| None)?.into_iter().for_each(|row| rows.0.push(row));
    Ok(())
}

fn run_workers(case: &Case, bench: &Bench, rows: &mut Rows) -> Result<()> {
    let start = |name, workers| {
        let cores = bench.machine.disjoint(workers).filter(|_| bench.machine.disjoint(MOST_WORKERS).is_some());
        let deployment = Deployment { workers, ..Deployment::ORDINARY };
        Form::start(bench, name, cores.unwrap_or_default(), &deployment)
    };
    let forms = [start(ONE_WORKER, 1)?, start(TWO_WORKERS, MOST_WORKERS)?];
    let is_disjoint = bench.machine.disjoint(MOST_WORKERS).is_some();
    let times = |outcomes: &[Outcome]| {
        let [one, two] = outcomes else { return None };
        let times = if is_disjoint { rate(two) / rate(one) } else { 2.0 * per_call(one) / per_call(two) };
        Some((TIMES_ONE, times))
    };
    in_turn(case, bench, &forms, times)?.into_iter().for_each(|row| rows.0.push(row));
    Ok(())
}

/// Measures all forms round by round, another one first in each. What compares them is noted with the last.
fn in_turn(
    case: &Case,
    bench: &Bench,
    forms: &[Form<'_>],
    compare: impl Fn(&[Outcome]) -> Option<(&'static str, f64)>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for round in 0..bench.rounds {
        let mut measured = Vec::new();
        for place in 0..forms.len() {
            let at = (place + round) % forms.len();
            tell(case.name, round, bench.rounds, forms[at].name);
            measured.push((at, forms[at].measure()?));
        }
        measured.sort_by_key(|(at, _)| *at);
        let outcomes: Vec<_> = measured.into_iter().map(|(_, outcome)| outcome).collect();
        let mut values: Vec<_> = outcomes.iter().map(|outcome| plain_values(outcome, None)).collect();
        if let Some(last) = values.last_mut() {
            last.extend(compare(&outcomes));
        }
        for ((form, outcome), values) in forms.iter().zip(outcomes).zip(values) {
            rows.push(Row { case: case.name, who: form.name.to_owned(), round, values, outcome: Some(outcome) });
        }
    }
    Ok(rows)
}
