//! A model name's targets and the policy that orders them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_call::{Call, ModelName};

use crate::{Candidate, MAX_TARGETS, Ranking, RoutingPolicy};

/// What a target calls the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamModel {
    /// A name of its own.
    Fixed(ModelName),
    /// The public name.
    Same,
}

/// One way to serve a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider, as an index that the owner of the table gives meaning to.
    pub provider: usize,
    /// What the provider calls the model.
    pub model: UpstreamModel,
    /// The target's share, at least 1.
    pub weight: u32,
}

/// Why targets do not make a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Nobody serves the name, so there is no route to it.
    #[error("no target serves the model name")]
    NoTargets,
    /// More than a ranking can hold.
    #[error("{found} targets serve one model name; at most {MAX_TARGETS} may")]
    TooManyTargets {
        /// How many there were.
        found: usize,
    },
}

/// The targets of one model name, or of one pattern of names.
#[derive(Debug)]
pub struct Route {
    targets: Vec<Target>,
    candidates: Vec<Candidate>,
    policy: Arc<dyn RoutingPolicy>,
    turns: AtomicU64,
}

impl Route {
    /// A route over these targets, in the order of the configuration; at least one, at most [`MAX_TARGETS`].
    pub fn new(targets: Vec<Target>, policy: Arc<dyn RoutingPolicy>) -> Result<Self, RouteError> {
        if targets.is_empty() {
            return Err(RouteError::NoTargets);
        }
        if targets.len() > MAX_TARGETS {
            return Err(RouteError::TooManyTargets { found: targets.len() });
        }
        let candidates = targets.iter().map(|target| Candidate { weight: target.weight.max(1) }).collect();
        Ok(Self { targets, candidates, policy, turns: AtomicU64::new(0) })
    }

    /// The targets, in the order of the configuration.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Takes the next turn and ranks the targets for one call.
    pub fn rank(&self, call: &Call) -> Ranking {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let mut ranking = Ranking::new();
        self.policy.rank(call, turn, &self.candidates, &mut ranking);
        ranking
    }
}
