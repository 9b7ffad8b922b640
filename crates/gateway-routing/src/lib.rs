//! Which targets serve a model name, and in what order.
//!
//! A [`RouteTable`] answers the first question: it resolves a public model name to a [`Route`], the set of [`Target`]s
//! that can serve it. A [`RoutingPolicy`] answers the second: it ranks a route's targets for one call. The route sees to it
//! that no target that is out of order stands before one that is not, and that calls with something in common go to the
//! same target if they are meant to.
//!
//! Everything here is a function of its arguments. There is no clock, no randomness and no I/O: the time and random bits
//! come in as a [`Moment`], and what is known of a target's health is asked of it.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use gateway_call::{Call, Endpoint, Tightening};
//! use gateway_resilience::{BreakerPolicy, CredentialPool, TargetHealth};
//! use gateway_routing::{Moment, Route, RouteTable, Target, UpstreamModel, Weighted, identity};
//!
//! let now = Instant::now();
//! let target = |provider, name: &str, weight| Target {
//!     provider,
//!     model: UpstreamModel::Fixed("gpt-4o-2024-11-20".into()),
//!     weight,
//!     priority: 1,
//!     health: Arc::new(TargetHealth::new(BreakerPolicy::default(), Arc::new(CredentialPool::new(1, now)), now)),
//!     identity: identity(&[name, "gpt-4o-2024-11-20"]),
//! };
//! let targets = vec![target(0, "openai", 2), target(1, "azure", 1)];
//! let mut table = RouteTable::default();
//! table.insert_exact("gpt-4o", Route::new(targets, Arc::new(Weighted))?);
//!
//! let resolved = table.resolve(&"gpt-4o".into()).ok_or("not found")?;
//! assert_eq!(resolved.upstream_model(0).map(|name| name.to_string()).as_deref(), Some("gpt-4o-2024-11-20"));
//!
//! let call = Call {
//!     endpoint: Endpoint::ChatCompletions,
//!     models: vec!["gpt-4o".into()],
//!     stream: false,
//!     tightening: Tightening::default(),
//!     tags: Vec::new(),
//! };
//! let ranking = resolved.route.rank(&call, Moment { now, random: 7, affinity: None });
//! assert_eq!(ranking.iter().collect::<Vec<_>>(), [0, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod affinity;
mod identity;
mod order;
mod policy;
mod ranking;
mod route;
mod table;
mod timetable;

pub use identity::{StableHasher, identity};
pub use policy::{Candidate, Draw, LeastInFlight, PowerOfTwoChoices, Priority, RoutingPolicy, Weighted, builtin};
pub use ranking::{MAX_TARGETS, Ranking};
pub use route::{Moment, Route, RouteError, Target, UpstreamModel};
pub use table::{Resolved, RouteTable};
