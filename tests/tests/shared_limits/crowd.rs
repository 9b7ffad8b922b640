//! Many callers at once, each on a connection of its own that it keeps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_testing::{Answer, Client, client};
use gateway_tests::clock::now;
use http::Request;
use http_body_util::Full;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::scene::{Scene, number};
use super::upstream::Counts;

/// Callers who are connected.
#[derive(Debug)]
pub(crate) struct Crowd {
    callers: Vec<(usize, Client)>,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) node: usize,
    /// Its number among all calls.
    pub(crate) number: usize,
    pub(crate) answer: Answer,
    pub(crate) took: Duration,
}

/// What became of many calls.
#[derive(Debug)]
pub(crate) struct Outcomes {
    pub(crate) all: Vec<Outcome>,
    pub(crate) took: Duration,
}

impl Crowd {
    /// Connects so many callers to each gateway; every connection has served a request.
    pub(crate) async fn gather(scene: &Scene, per_node: usize) -> Self {
        let mut callers = Vec::new();
        for _ in 0..per_node {
            for (number, node) in scene.nodes.iter().enumerate() {
                let mut caller = Client::connect(node.address()).await;
                assert_eq!(caller.send(client::request("GET", "/health", "")).await.status, 200);
                callers.push((number, caller));
            }
        }
        Self { callers }
    }

    /// Has all of them call at the same moment, each by its number. Who is held at the upstream is released when all others are
    /// answered.
    pub(crate) async fn rush(&mut self, scene: &Scene, request: impl Fn(usize) -> Request<Full<Bytes>>) -> Outcomes {
        let (size, before) = (self.callers.len(), scene.upstream.counts().total);
        let start = Arc::new(Barrier::new(size));
        let mut calls = JoinSet::new();
        let began = now();
        for (number, (node, mut caller)) in self.callers.drain(..).enumerate() {
            let (start, request) = (Arc::clone(&start), request(number));
            calls.spawn(async move {
                start.wait().await;
                let began = now();
                let answer = caller.send(request).await;
                ((node, caller), Outcome { node, number, answer, took: began.elapsed() })
            });
        }
        let (mut all, mut is_released) = (Vec::new(), false);
        while all.len() < size {
            let are_decided = |counts: Counts| counts.total - before + all.len() >= size;
            tokio::select! {
                () = scene.upstream.reaches("all to be decided", are_decided), if !is_released => {
                    scene.upstream.release();
                    is_released = true;
                }
                Some(call) = calls.join_next() => {
                    let (caller, outcome) = call.unwrap();
                    self.callers.push(caller);
                    all.push(outcome);
                }
            }
        }
        Outcomes { all, took: began.elapsed() }
    }
}

impl Outcome {
    pub(crate) fn is_admitted(&self) -> bool {
        self.answer.status == 200
    }
}

impl Outcomes {
    pub(crate) fn admitted(&self) -> impl Iterator<Item = &Outcome> {
        self.all.iter().filter(|outcome| outcome.is_admitted())
    }

    pub(crate) fn refused(&self) -> impl Iterator<Item = &Outcome> {
        self.all.iter().filter(|outcome| !outcome.is_admitted())
    }

    /// What half of the calls took at most.
    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// What so many calls in a hundred took at most.
    fn percentile(&self, percent: usize) -> Duration {
        let mut times: Vec<_> = self.all.iter().map(|outcome| outcome.took).collect();
        times.sort_unstable();
        times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }

    /// Panics unless all that were refused were told so in this way, and when to come again.
    pub(crate) fn assert_refused_with(&self, code: &str) {
        self.assert_refused_as(code);
        for Outcome { answer, .. } in self.refused() {
            assert!(number(answer, "retry-after") >= 1, "{:?}", answer.headers);
        }
    }

    /// Panics unless all that were refused were told so in this way.
    pub(crate) fn assert_refused_as(&self, code: &str) {
        for Outcome { answer, .. } in self.refused() {
            assert_eq!((answer.status.as_u16(), &*answer.error_code()), (429, code), "{}", answer.text());
        }
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.all.iter().map(|outcome| outcome.node + 1).max().unwrap_or(0);
        writeln!(f, "node  calls  admitted  refused")?;
        let mut row = |name: &str, wanted: &dyn Fn(&&Outcome) -> bool| {
            let calls = self.all.iter().filter(wanted).count();
            let admitted = self.admitted().filter(wanted).count();
            writeln!(f, "{name:>4}  {calls:>5}  {admitted:>8}  {:>7}", calls - admitted)
        };
        for node in 0..nodes {
            row(&node.to_string(), &|outcome| outcome.node == node)?;
        }
        row("all", &|_| true)?;
        let [half, most, all] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "in {:?}; a call took {half:?} (median), {most:?} (99 %), {all:?} at most", self.took)
    }
}
