//! How the targets of a route are ordered for one call.
//!
//! A policy sees candidates, not targets: what it may know of each is copied out of the shared health before it is asked,
//! so one ranking is made of one look at the world.

use std::fmt;
use std::time::Duration;

use gateway_call::Call;
use gateway_extension::Registry;

use crate::Ranking;

mod least_in_flight;
mod p2c;
mod priority;
mod weighted;

pub use least_in_flight::LeastInFlight;
pub use p2c::PowerOfTwoChoices;
pub use priority::Priority;
pub use weighted::Weighted;

/// What a policy may know of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The target's share, at least 1.
    pub weight: u32,
    /// The tier that the target belongs to; a lower number goes first where a policy heeds it.
    pub priority: u32,
    /// How many attempts are under way there, those of other routes and of hedges included.
    pub in_flight: u32,
    /// How long its answers take to their first content: a peak-sensitive moving average, which sinks while the target is
    /// idle. None while nothing is known, and for policies that do not [heed](RoutingPolicy::heeds_latency) it.
    pub latency: Option<Duration>,
}

impl Candidate {
    /// What an array holds where there is no target.
    pub(crate) const VACANT: Self = Self { weight: 1, priority: 1, in_flight: 0, latency: None };

    /// The weight, also where somebody made it 0.
    pub(crate) fn share(&self) -> u64 {
        u64::from(self.weight.max(1))
    }
}

/// What changes from call to call, whatever the candidates do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The number of the call among those of its route, from 0.
    pub turn: u64,
    /// Random bits, evenly distributed.
    pub random: u64,
}

/// Orders the targets of a route, best first.
///
/// Called on a call's path, for each of its models: an implementation must not block or allocate, and has no state of its
/// own that a call could see. What changes from call to call comes in as a [`Draw`].
///
/// A policy does not judge health. It is asked about the available targets alone, and once more about the others if
/// there are any; those come last, the least bad one first, whatever the policy says.
pub trait RoutingPolicy: Send + Sync + fmt::Debug {
    /// Puts the indices of `candidates` into `ranking`, which arrives empty, each at most once.
    ///
    /// There is at least one candidate, and at most [`MAX_TARGETS`](crate::MAX_TARGETS). They stand in the order of the
    /// configuration, but without those that are not asked about, so an index is not always the same target. Indices left
    /// out are not tried; if nothing is ranked at all, the call is refused.
    fn rank(&self, call: &Call, draw: Draw, candidates: &[Candidate], ranking: &mut Ranking);

    /// Whether affinity may move `other` in front of `first`, the candidate that was ranked first.
    ///
    /// By default it may: most policies balance among equals. A policy for which some candidates are a reserve says no, so
    /// that a caller's key does not lead there while it is not needed. The answer must not depend on the draw, or keys
    /// wander.
    fn are_interchangeable(&self, _first: &Candidate, _other: &Candidate) -> bool {
        true
    }

    /// Whether it looks at [`Candidate::latency`], which costs as much as all else that is looked up about a target: a power
    /// of e for each target and call. By default it does.
    fn heeds_latency(&self) -> bool {
        true
    }
}

/// The settings of a policy that has none.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// The policies that a configuration may name without any registration.
pub fn builtin() -> Registry<dyn RoutingPolicy> {
    Registry::new().with::<LeastInFlight>().with::<PowerOfTwoChoices>().with::<Priority>().with::<Weighted>()
}

#[cfg(test)]
pub(crate) mod tests;
