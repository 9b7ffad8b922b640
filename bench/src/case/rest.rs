//! What a peer takes when it does nothing.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use super::driven::Values;
use super::{Bound, Case, aim, column, must};
use crate::bench::{Bench, tell};
use crate::exchange::Kind;
use crate::kernel::Group;
use crate::load::once;
use crate::machine::Cores;
use crate::peer::{Deployment, Peer, Population};
use crate::process::pause;
use crate::rows::{Row, Rows};

const MEMORY: &str = "MB resident";
const SIZE: &str = "MB program";
/// From the first answer to the look.
const REST: Duration = Duration::from_secs(1);
const MOST_ROUNDS: usize = 3;

pub(super) const REST_CASE: Case = Case {
    name: "rest",
    title: "memory a second after the first call, and size of the program",
    columns: &[column(MEMORY, 1), column(SIZE, 1)],
    goals: &[
        must(MEMORY, Bound::AtMost(16.0)),
        aim(MEMORY, Bound::AtMost(8.0)),
        must(SIZE, Bound::AtMost(30.0)),
        aim(SIZE, Bound::AtMost(15.0)),
    ],
    upstream: None,
    run,
};

fn run(case: &Case, bench: &Bench, rows: &mut Rows) -> Result<()> {
    let stage = bench.stage(Cores::default())?;
    let ask = Population::Ordinary.asks(Kind::Plain).swap_remove(0);
    let rounds = bench.rounds.min(MOST_ROUNDS);
    for round in 0..rounds {
        for peer in bench.peers.iter().copied().filter(|peer| *peer != Peer::None) {
            tell(case.name, round, rounds, peer.name());
            let running = stage.start(peer, &Deployment::ORDINARY)?;
            once::call(running.address, &ask, peer == Peer::Gateway)?;
            pause(REST);
            let mut values = Values::new();
            if let Some(id) = running.id() {
                values.insert(MEMORY, megabytes(Group::of(id).resident()?));
            }
            if let Some(program) = bench.programs.path(peer) {
                values.insert(SIZE, megabytes(fs::metadata(program)?.len()));
            }
            rows.0.push(Row { case: case.name, who: peer.name().to_owned(), round, values, outcome: None });
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "2^52 bytes are 4 PB")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
