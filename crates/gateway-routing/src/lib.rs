//! Which targets serve a model name, and in what order.
//!
//! A [`RouteTable`] answers the first question: it resolves a public model name to a [`Route`], the set of [`Target`]s
//! that can serve it. A [`RoutingPolicy`] answers the second: it ranks a route's targets for one call.
//!
//! Everything here is a function of its arguments. There is no clock, no randomness and no I/O: the number of a call
//! among those of its route comes in as `turn`.
//!
//! ```
//! use gateway_routing::{Route, RouteTable, Target, UpstreamModel, Weighted};
//! use std::sync::Arc;
//!
//! let target = Target { provider: 0, model: UpstreamModel::Fixed("gpt-4o-2024-11-20".into()), weight: 1 };
//! let mut table = RouteTable::default();
//! table.insert_exact("gpt-4o", Route::new(vec![target], Arc::new(Weighted))?);
//!
//! let resolved = table.resolve(&"gpt-4o".into()).ok_or("not found")?;
//! assert_eq!(resolved.upstream_model(0).map(|name| name.to_string()).as_deref(), Some("gpt-4o-2024-11-20"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod policy;
mod ranking;
mod route;
mod table;

pub use policy::{Candidate, RoutingPolicy, Weighted, builtin};
pub use ranking::{MAX_TARGETS, Ranking};
pub use route::{Route, RouteError, Target, UpstreamModel};
pub use table::{Resolved, RouteTable};
