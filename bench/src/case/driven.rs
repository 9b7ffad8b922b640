//! How a case goes in which all peers get the same calls: round by round, each of them in turn.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Case;
use crate::bench::{Bench, Stage, tell};
use crate::exchange::{Kind, Size};
use crate::load::{Outcome, Plan};
use crate::machine::{Cores, Machine};
use crate::peer::{Deployment, Peer, Population, Running};
use crate::rows::{Row, Rows};

/// Figures by the headings of their columns.
pub(super) type Values = BTreeMap<&'static str, f64>;

/// What is driven through every peer.
pub(super) struct Driven {
    pub(super) kind: Kind,
    pub(super) size: Size,
    pub(super) connections: usize,
    pub(super) stagger_us: u64,
    pub(super) warm_seconds: Option<f64>,
    /// How long calls are begun; as the run says if it is not said here.
    pub(super) seconds: Option<f64>,
    pub(super) cores: fn(&Machine) -> Cores,
    /// Whether a peer is started for each measurement, because its memory is looked at.
    pub(super) is_fresh: bool,
    /// Whether calls are also made with nobody between.
    pub(super) is_nobody_measured: bool,
    /// Whether the calls with nobody between are there to show what the upstream can do, rather than to be compared with.
    pub(super) is_upstream_seen: bool,
    pub(super) most_rounds: usize,
    /// The figures of a measurement, given that of nobody between from the same round.
    pub(super) values: fn(&Outcome, Option<&Outcome>) -> Values,
}

impl Default for Driven {
    fn default() -> Self {
        Self {
            kind: Kind::Plain,
            size: Size::Small,
            connections: 1,
            stagger_us: 0,
            warm_seconds: Some(0.5),
            seconds: None,
            cores: Machine::apart,
            is_fresh: false,
            is_nobody_measured: true,
            is_upstream_seen: false,
            most_rounds: usize::MAX,
            values: |_, _| Values::new(),
        }
    }
}

impl Driven {
    pub(super) fn run(&self, case: &Case, bench: &Bench, rows: &mut Rows) -> Result<()> {
        let stage = bench.stage((self.cores)(&bench.machine))?;
        let all = bench.peers.iter().copied();
        let peers: Vec<_> = all.filter(|peer| self.is_nobody_measured || *peer != Peer::None).collect();
        let start = |peer: Peer| stage.start(peer, &Deployment::ORDINARY);
        let kept: Vec<Option<Running>> = peers
            .iter()
            .map(|peer| if self.is_fresh { Ok(None) } else { start(*peer).map(Some) })
            .collect::<Result<_>>()?;
        let rounds = bench.rounds.min(self.most_rounds);
        for round in 0..rounds {
            let mut outcomes = Vec::new();
            for turn in 0..peers.len() {
                let place = (turn + round) % peers.len();
                tell(case.name, round, rounds, peers[place].name());
                let outcome = match &kept[place] {
                    Some(running) => self.measure(&stage, peers[place], running)?,
                    None => self.measure(&stage, peers[place], &start(peers[place])?)?,
                };
                outcomes.push((peers[place], outcome));
            }
            self.note(case, round, outcomes, rows);
        }
        Ok(())
    }

    fn measure(&self, stage: &Stage<'_>, peer: Peer, running: &Running) -> Result<Outcome> {
        // What the upstream can do is to be seen when it does not share its core.
        let is_upstream = self.is_upstream_seen && peer == Peer::None;
        let upstream = is_upstream.then(|| stage.upstream_id());
        let plan = Plan {
            address: running.address,
            asks: Population::Ordinary.asks(self.kind),
            kind: self.kind,
            size: self.size,
            is_rewritten: peer == Peer::Gateway,
            connections: self.connections,
            stagger_us: self.stagger_us,
            warm_seconds: self.warm_seconds,
            seconds: self.seconds.unwrap_or(stage.bench.seconds),
            watched: running.id().or(upstream),
            is_memory_watched: self.is_fresh,
        };
        let direct = is_upstream.then(|| stage.bench.machine.direct_load());
        plan.carry_out(direct.as_ref().unwrap_or(&stage.cores.load))
    }

    fn note(&self, case: &Case, round: usize, mut outcomes: Vec<(Peer, Outcome)>, rows: &mut Rows) {
        outcomes.sort_by_key(|(peer, _)| *peer as u8);
        let nobody = outcomes.iter().find(|(peer, _)| *peer == Peer::None).map(|(_, outcome)| outcome.clone());
        for (peer, outcome) in outcomes {
            let mut values = (self.values)(&outcome, nobody.as_ref().filter(|_| peer != Peer::None));
            if peer == Peer::None && !self.is_upstream_seen {
                // Nobody takes no processor time and no memory.
                values.retain(|heading, _| !heading.contains("CPU") && !heading.contains("iB"));
            }
            rows.0.push(Row { case: case.name, who: peer.name().to_owned(), round, values, outcome: Some(outcome) });
        }
    }
}
