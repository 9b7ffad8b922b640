//! A model name's targets and the policy that orders them.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gateway_call::{Call, ModelName};
use gateway_resilience::TargetHealth;

use crate::order::{Order, View};
use crate::{Candidate, Draw, MAX_TARGETS, Ranking, RoutingPolicy, Weighted};

/// What a target calls the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamModel {
    /// A name of its own.
    Fixed(ModelName),
    /// The public name.
    Same,
}

/// One way to serve a model.
#[derive(Debug, Clone)]
pub struct Target {
    /// The provider, as an index that the owner of the table gives meaning to.
    pub provider: usize,
    /// What the provider calls the model.
    pub model: UpstreamModel,
    /// The target's share, at least 1.
    pub weight: u32,
    /// The tier that it belongs to under the policy `priority`: a lower number goes first.
    pub priority: u32,
    /// How it is doing; shared by all routes that lead there, and by the configurations before and after this one.
    pub health: Arc<TargetHealth>,
    /// Who it is, from [`identity`](crate::identity()): what affinity knows it by on every node.
    pub identity: u64,
}

/// What one call brings to its ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time, at which the targets' health is looked at.
    pub now: Instant,
    /// Random bits, evenly distributed.
    pub random: u64,
    /// A hash of what this call shares with others that should go to the same target, the same on every node (see
    /// [`StableHasher`](crate::StableHasher)); None if the policy alone decides.
    pub affinity: Option<u64>,
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
        Ok(Self { targets, policy, turns: AtomicU64::new(0) })
    }

    /// The route of a name that nobody may serve for now: all its rankings are empty.
    pub(crate) fn closed() -> Self {
        Self { targets: Vec::new(), policy: Arc::new(Weighted), turns: AtomicU64::new(0) }
    }

    /// Whether nobody may serve the name for now.
    pub fn is_closed(&self) -> bool {
        self.targets.is_empty()
    }

    /// A route of its own for a name that this one serves among others: the same policy, and for each target its `own`
    /// one.
    pub fn with_targets(&self, own: impl FnMut(&Target) -> Target) -> Self {
        let targets = self.targets.iter().map(own).collect();
        Self { targets, policy: Arc::clone(&self.policy), turns: AtomicU64::new(0) }
    }

    /// The targets, in the order of the configuration.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Takes the next turn and ranks the targets for one call.
    ///
    /// First stand the available targets as the policy ranks them, but for the one that the call's affinity prefers: it
    /// leads if it has room. Behind them stand those that are cooling down or whose breaker is open, the one that is
    /// free soonest first. What the policy leaves out is not ranked. Does not allocate and takes no lock.
    pub fn rank(&self, call: &Call, moment: Moment) -> Ranking {
        let draw = Draw { turn: self.turns.fetch_add(1, Ordering::Relaxed), random: moment.random };
        let order = Order { policy: &*self.policy, call, draw, affinity: moment.affinity };
        // Room for the most targets is several KiB that would be cleared for each call, so few targets get less.
        match self.targets.len() {
            ..=4 => self.rank_within::<4>(&order, moment.now),
            5..=16 => self.rank_within::<16>(&order, moment.now),
            _ => self.rank_within::<MAX_TARGETS>(&order, moment.now),
        }
    }

    /// Looks at the targets as they are now, of which there are at most `N`, and ranks them.
    fn rank_within<const N: usize>(&self, order: &Order<'_>, now: Instant) -> Ranking {
        let heeds_latency = self.policy.heeds_latency();
        let views: [View; N] = array::from_fn(|index| {
            self.targets.get(index).map_or(View::VACANT, |target| target.look(now, heeds_latency))
        });
        order.of::<N>(&views[..self.targets.len()])
    }
}

impl Target {
    fn look(&self, now: Instant, heeds_latency: bool) -> View {
        let candidate = Candidate {
            weight: self.weight.max(1),
            priority: self.priority,
            in_flight: self.health.in_flight(),
            latency: if heeds_latency { self.health.latency(now) } else { None },
        };
        View { candidate, standing: self.health.standing(now), identity: self.identity }
    }
}

#[cfg(test)]
pub(crate) mod tests;
