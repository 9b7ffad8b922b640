//! Between authentication and the body: a place in the process.
//!
//! It comes before the body, so that a line of callers is a line of heads. Whoever waits in it has sent nothing else, and is not
//! known to be refused behind it.

use gateway_ratelimit::DenialCause;

use crate::authenticate::Caller;
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
    let (gate, account) = (&gateway.shared.gate, caller.account());
    refuse_excess(caller, || gate.held_by(&account))?;
    let place = settlement.wait_for(gate.enter(snapshot.room, &account)).await?;
    settlement.occupy(place);
    Ok(Entered { limits: snapshot.body_limits, doubt })
}

/// Refuses a call of a key that has as many places as it may have calls at once. Those that still bring their bodies count: its
/// limits do not know of them yet, and a key that kept bringing them would keep the places of everybody else.
fn refuse_excess(caller: &Caller, held: impl FnOnce() -> usize) -> Result<(), Rejection> {
    let Some(limit) = caller.limited_key().and_then(|key| key.limits.max_concurrent) else { return Ok(()) };
    if held() < limit as usize {
        return Ok(());
    }
    Err(Rejection::Limited { cause: DenialCause::Concurrency { limit }, retry_after: None })
}

impl From<Crowded> for Rejection {
    fn from(Crowded { retry_after }: Crowded) -> Self {
        Self::Overloaded { retry_after }
    }
}
