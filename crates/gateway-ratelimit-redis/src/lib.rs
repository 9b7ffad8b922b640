//! One limit for many gateways: the decisions of `gateway-ratelimit` as one atomic script in Redis.
//!
//! [`RedisLimits`] is a [`LimitStore`] whose counts all gateways on one Redis (6 or later, or Valkey) share. A decision is one
//! round trip: one script looks at all limits of an account and takes from all of them or from none, by Redis's clock and to
//! the microsecond as [`LocalLimits`] would. Redis forgets accounts that are not used.
//!
//! How calls have ended is told by a background task, and with the next question about the account, whichever comes first;
//! nobody waits for that, and nothing of it is lost while Redis is away: what is to be told is one entry for each account in
//! use, however many calls have ended; an account with a budget is kept in mind until its window ends.
//!
//! # Nodes that do not agree
//!
//! A change of limits does not reach all nodes at once. So there is a bucket for each rate (limit, period, burst) that calls of
//! an account are limited to, and a call that is let through is taken from all of them, whichever node let it through; what it
//! gives back is given back to all. A rate that is new begins with what the fullest of its place (second, minute, period) has
//! spent, and has no more room than any other leaves it. Nodes with different limits so let through, together and over any
//! time, no more than the largest burst and the fastest rate among them, and a call that is refused changes nothing. The
//! buckets of requests, and those of tokens, are forgotten when nothing is spent of any; of each place eight are kept at most,
//! those of the largest bursts.
//!
//! An account whose hash others have written nonsense into is counted anew, which the log says; nobody else is concerned.
//!
//! # Without Redis
//!
//! A Redis that is slow, dead, loading, a replica, or part of a cluster that has the account elsewhere, is given up after the
//! first call that it fails, for all calls at once; it is asked again as soon as it answers in time. Slow is what says
//! nothing to anybody for as long as a decision waits; that is judged on a thread that does nothing else, so a gateway that is
//! busy itself does not take a healthy Redis for a slow one. Until then calls are
//! refused, or each node decides by itself with its share of every limit: the limit divided by the number of nodes last
//! known, at least 1. What may then be let through, by all nodes together:
//!
//! - Requests and tokens: once more what the limit lets through at once, as shares begin full, and from then on no more than
//!   the limit. Each node that there is more than were known adds a share, and so does each by which there are more nodes than
//!   the limit is high.
//! - Calls at once: a node's calls count towards its share, whoever let them through. If all calls were on few nodes, the
//!   others may add their shares, so there are never twice as many.
//! - Money: each node may spend its share of what was left when it last heard of it.
//!
//! When it comes back, Redis counts requests and tokens as it remembers them; one that comes back empty lets through what a
//! limit lets through at once, once more. Of calls under way and of money spent it is told by every node, at once. A call
//! whose answer was lost may have been counted in Redis and by the node: its tokens come back with time, its money and its
//! place at once.
//!
//! This crate connects to one server or to what stands for one, such as a proxy or a managed service's address. It follows
//! neither sentinels nor a cluster's redirections. A server that evicts keys forgets limits; give it memory enough, or a
//! policy that evicts others first.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gateway_ratelimit::{Demand, LimitStore, Moment, RateLimit};
//! use gateway_ratelimit_redis::{RedisLimits, RedisSettings};
//! use gateway_secret::Secret;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Nobody listens there, which is no error: this node decides by itself until somebody does.
//! let store = RedisLimits::connect(RedisSettings::new(Secret::from("redis://127.0.0.1:1"))).await?;
//! let limits = Arc::new(RateLimit { requests_per_second: Some(1), ..RateLimit::default() }.limits(None)?);
//! let at = Moment { now: tokio::time::Instant::now().into_std(), wall: jiff::Timestamp::now() };
//! assert!(store.reserve(&Arc::from("team a"), &limits, Demand::default(), at).await.is_ok());
//! assert!(store.reserve(&Arc::from("team a"), &limits, Demand::default(), at).await.is_err());
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`LimitStore`]: gateway_ratelimit::LimitStore
//! [`LocalLimits`]: gateway_ratelimit::LocalLimits

mod alone;
mod connection;
mod keeper;
mod ledger;
mod loss;
mod node;
mod refusals;
mod request;
mod roll;
mod script;
mod settings;
mod store;
mod thread;

pub use connection::RedisStatus;
pub use settings::{Clock, OnError, RedisSettings, RedisSettingsError};
pub use store::RedisLimits;
