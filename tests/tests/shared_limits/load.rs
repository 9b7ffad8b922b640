//! A steady load on all gateways, and what became of each of its calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway_testing::Client;
use gateway_tests::clock::now;
use gateway_tests::patience::until;
use gateway_tests::site::calling;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::scene::asking;

/// From one call of a caller to its next.
const PAUSE: Duration = Duration::from_millis(20);

/// Callers who call again and again until the load ends.
#[derive(Debug)]
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    records: Arc<Mutex<Vec<Record>>>,
    callers: JoinSet<()>,
}

/// What became of a call.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) node: usize,
    /// Whose call it was.
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    pub(crate) began: Instant,
    pub(crate) took: Duration,
}

impl Record {
    pub(crate) fn ended(&self) -> Instant {
        self.began + self.took
    }
}

impl Load {
    /// Nobody calls yet.
    pub(crate) fn new() -> Self {
        Self { is_over: Arc::default(), records: Arc::default(), callers: JoinSet::new() }
    }

    /// Has so many callers of this name at each gateway make a call every [`PAUSE`], over connections that they keep.
    pub(crate) async fn add(&mut self, nodes: &[SocketAddr], count: usize, name: &'static str, key: &str) {
        for (node, &address) in nodes.iter().enumerate() {
            for _ in 0..count {
                let (is_over, records) = (Arc::clone(&self.is_over), Arc::clone(&self.records));
                let (mut client, key) = (Client::connect(address).await, key.to_owned());
                self.callers.spawn(async move {
                    let mut ticks = interval(PAUSE);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    while !is_over.load(Ordering::Relaxed) {
                        ticks.tick().await;
                        let began = now();
                        let answer = client.send(calling(&key, asking(1, ""))).await;
                        let status = answer.status.as_u16();
                        records.lock().push(Record { node, name, status, began, took: began.elapsed() });
                    }
                });
            }
        }
    }

    /// How many calls there were of this kind.
    pub(crate) fn count(&self, is_wanted: impl Fn(&Record) -> bool) -> usize {
        self.records.lock().iter().filter(|record| is_wanted(record)).count()
    }

    /// Waits until there were so many calls of this kind.
    pub(crate) async fn reaches(&self, awaited: &str, count: usize, is_wanted: impl Fn(&Record) -> bool) {
        until(awaited, async || (self.count(&is_wanted) >= count).then_some(())).await;
    }

    /// Waits until all callers have their last answer. Panics if one has none.
    pub(crate) async fn end(mut self) -> Vec<Record> {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller.unwrap();
        }
        std::mem::take(&mut *self.records.lock())
    }
}

/// How long calls took, from the shortest to the longest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut times: Vec<_> = records.into_iter().map(|record| record.took).collect();
        times.sort_unstable();
        Self(times)
    }

    /// What so many in a hundred stayed within; zero if there were none.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        self.0.get(self.0.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }

    /// Which share took longer, from 0 to 1.
    pub(crate) fn share_beyond(&self, time: Duration) -> f64 {
        let beyond = self.0.len() - self.0.partition_point(|took| *took <= time);
        #[expect(clippy::cast_precision_loss, reason = "calls are counted by the thousand")]
        let share = beyond as f64 / self.0.len().max(1) as f64;
        share
    }

    /// A row of a table.
    pub(crate) fn print(&self, row: &str) {
        let [half, most, all] = [50, 99, 100].map(|percent| self.percentile(percent));
        println!("{row:<28} {:>6} calls  p50 {half:>10.2?}  p99 {most:>10.2?}  max {all:>10.2?}", self.0.len());
    }
}
