//! Between authentication and the body: a place in the process.
//!
//! It comes before the body, so that a line of callers is a line of heads. Whoever waits in it has sent nothing else, and is not
//! known to be refused behind it.

use crate::gateway::Gateway;
use crate::rejection::Rejection;
use crate::reserve::{Doubt, Hopeful};
use crate::settle::Settlement;
use crate::snapshot::{BodyLimits, Snapshot};

mod line;
mod pace;
mod waiter;

pub(crate) use line::{Crowded, Gate, Place, Room};
pub(crate) use waiter::{Entrance, Found, wait_at};

/// Leave to bring a body: the call has its place.
#[derive(Debug)]
pub(crate) struct Entered {
    /// How much it may bring.
    pub(crate) limits: BodyLimits,
    /// What is to become of it if that is much.
    pub(crate) doubt: Option<Doubt>,
}

/// Lets a call in, at once or when it is its caller's turn. The place is the settlement's, which gives it back.
pub(crate) async fn enter(
    hopeful: Hopeful<'_>,
    gateway: &Gateway,
    snapshot: &Snapshot,
    settlement: &mut Settlement,
) -> Result<Entered, Rejection> {
    let Hopeful { caller, doubt } = hopeful;
    let place = settlement.wait_for(gateway.shared.gate.enter(snapshot.room, &caller.account())).await?;
    settlement.occupy(place);
    Ok(Entered { limits: snapshot.body_limits, doubt })
}

impl From<Crowded> for Rejection {
    fn from(Crowded { retry_after }: Crowded) -> Self {
        Self::Overloaded { retry_after }
    }
}
