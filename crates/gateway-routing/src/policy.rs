//! How the targets of a route are ordered for one call.

use std::fmt;

use gateway_call::Call;
use gateway_extension::Registry;

use crate::Ranking;

mod weighted;

pub use weighted::Weighted;

/// What a policy may know of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The target's share, at least 1.
    pub weight: u32,
}

/// Orders the targets of a route, best first.
///
/// Called once a call, on its path: an implementation must not block or allocate, and has no state of its own that
/// a call could see. What changes from call to call comes in as `turn`.
pub trait RoutingPolicy: Send + Sync + fmt::Debug {
    /// Puts the indices of `candidates` into `ranking`, which arrives empty, each at most once.
    ///
    /// `turn` counts the calls of the route, from 0. Indices left out are not tried; a ranking left empty refuses the
    /// call.
    fn rank(&self, call: &Call, turn: u64, candidates: &[Candidate], ranking: &mut Ranking);
}

/// The policies that a configuration may name without any registration.
pub fn builtin() -> Registry<dyn RoutingPolicy> {
    Registry::new().with::<Weighted>()
}
