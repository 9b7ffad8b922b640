//! The phases of a plan: a few calls on one connection, a warm-up on all of them, and what counts.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{Activity, Connection, Exchange, Took};
use super::expected::Expected;
use super::watch::Watch;
use super::{Outcome, Plan};
use crate::exchange::{Ask, Kind};
use crate::kernel::Group;
use crate::socket::Scratch;
use crate::statistics::quantile;

/// Calls on the first connection before anything else, so that the measured process has done once whatever it does once.
const SETTLING: usize = 4;
/// How much longer than its time a phase may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many faults are told in words.
const TOLD: usize = 3;

/// The connections, what they ask, and what was wrong so far.
struct Driver {
    exchanges: Rc<Vec<Exchange>>,
    /// What the first few calls ask, which are not to last.
    settling: Rc<Vec<Exchange>>,
    connections: Vec<Connection>,
    activity: Rc<Activity>,
    stagger: Duration,
    faults: Vec<String>,
}

/// Carries a plan out.
pub(super) async fn drive(plan: Plan) -> Result<Outcome> {
    let group = plan.watched.map(Group::of);
    let mut driver = Driver::new(&plan);
    driver.settle().await?;
    let resident_before = group.as_ref().map_or(Ok(0), Group::resident)?;
    if let Some(seconds) = plan.warm_seconds {
        driver.phase(seconds).await?;
    }
    let watch = Rc::new(Watch::default());
    let watching = group.clone().filter(|_| plan.is_memory_watched).map(|group| {
        let (watch, activity) = (Rc::clone(&watch), Rc::clone(&driver.activity));
        task::spawn_local(async move { watch.keep(&group, &activity).await })
    });
    let before = group.as_ref().map(Group::time).transpose()?;
    let began = Instant::now();
    let took = driver.phase(plan.seconds).await?;
    let seconds = began.elapsed().as_secs_f64();
    let after = group.as_ref().map(Group::time).transpose()?;
    if let Some(watching) = watching {
        watching.abort();
    }
    let times =
        |time: fn(&Took) -> Duration| took.iter().map(|took| time(took).as_secs_f64() * 1e6).collect::<Vec<_>>();
    let whole = times(|took| took.whole);
    Ok(Outcome {
        calls: took.len() as u64,
        errors: driver.faults.len() as u64,
        first_errors: driver.faults.iter().take(TOLD).cloned().collect(),
        seconds,
        cpu_seconds: before.zip(after).map_or(0.0, |(before, after)| after.seconds_since(&before)),
        p50: quantile(&whole, 0.5),
        p99: quantile(&whole, 0.99),
        first_p50: quantile(&times(|took| took.first), 0.5),
        resident_before,
        resident_middle: watch.middle(plan.connections),
        resident_peak: watch.peak(),
        most_open: driver.activity.answered.most(),
    })
}

impl Driver {
    fn new(plan: &Plan) -> Self {
        let exchange = |kind: Kind| {
            move |ask: &Ask| Exchange {
                request: ask.request(kind, plan.size).into(),
                expected: Expected::new(ask, kind, plan.is_rewritten),
            }
        };
        let quick = if plan.kind.is_stream() { Kind::Burst } else { plan.kind };
        let settling = |ask: &Ask| {
            exchange(quick)(&Ask { model: ask.model.replace(plan.kind.word(), quick.word()), ..ask.clone() })
        };
        let (scratch, activity) = (Scratch::new(), Rc::new(Activity::default()));
        let connection = |number| Connection::new(number, plan.address, scratch.clone(), Rc::clone(&activity));
        Self {
            exchanges: Rc::new(plan.asks.iter().map(exchange(plan.kind)).collect()),
            settling: Rc::new(plan.asks.iter().take(SETTLING).map(settling).collect()),
            connections: (0..plan.connections).map(connection).collect(),
            activity: Rc::clone(&activity),
            stagger: Duration::from_micros(plan.stagger_us),
            faults: Vec::new(),
        }
    }

    /// A few calls on one connection.
    async fn settle(&mut self) -> Result<()> {
        let others = self.connections.split_off(1);
        std::mem::swap(&mut self.exchanges, &mut self.settling);
        for _ in 0..SETTLING {
            self.phase(0.0).await?;
        }
        std::mem::swap(&mut self.exchanges, &mut self.settling);
        self.connections.extend(others);
        Ok(())
    }

    /// Makes calls on all connections for so long, at least one on each, until the last is answered; how long they took.
    async fn phase(&mut self, seconds: f64) -> Result<Vec<Took>> {
        let lasts = Duration::from_secs_f64(seconds);
        let stride = self.connections.len();
        let mut running = JoinSet::new();
        for (place, connection) in self.connections.drain(..).enumerate() {
            let exchanges = Rc::clone(&self.exchanges);
            let begin = Instant::now() + self.stagger * u32::try_from(place)?;
            running.spawn_local(calls(connection, exchanges, stride, begin..begin + lasts));
        }
        let mut took = Vec::new();
        let last_begin = self.stagger * u32::try_from(stride)?;
        let all = async {
            while let Some(ended) = running.join_next().await {
                let (connection, calls, fault) = ended?;
                took.extend(calls);
                match fault {
                    Some(fault) => self.faults.push(fault),
                    None => self.connections.push(connection),
                }
            }
            anyhow::Ok(())
        };
        timeout(lasts + last_begin + PATIENCE, all).await.context("answers do not come any more")??;
        if took.is_empty() {
            anyhow::bail!("no call was answered: {}", self.faults.first().map_or("there was none", String::as_str));
        }
        Ok(took)
    }
}

/// The calls of one connection, until one fails or the time is over.
async fn calls(
    mut connection: Connection,
    exchanges: Rc<Vec<Exchange>>,
    stride: usize,
    time: std::ops::Range<Instant>,
) -> (Connection, Vec<Took>, Option<String>) {
    sleep_until(time.start).await;
    let mut took = Vec::new();
    loop {
        let exchange = &exchanges[(connection.number + connection.calls * stride) % exchanges.len()];
        match connection.call(exchange).await {
            Ok(call) => took.push(call),
            Err(fault) => return (connection, took, Some(fault.to_string())),
        }
        if Instant::now() >= time.end {
            return (connection, took, None);
        }
    }
}
