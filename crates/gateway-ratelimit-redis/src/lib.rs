//! One limit for many gateways: the decisions of `gateway-ratelimit` as one atomic script in Redis.
//!
//! [`RedisLimits`] is a [`LimitStore`] whose counts all gateways on one Redis (6 or later, or Valkey) share. A decision is one
//! round trip: one script looks at all limits of an account and takes from all of them or from none, by Redis's clock and to
//! the microsecond as [`LocalLimits`] would. Redis forgets accounts that are not used.
//!
//! How calls have ended is told by a background task, and with the next question about the account, whichever comes first;
//! nobody waits for that, and nothing of it is lost while Redis is away: what is to be told is one entry for each account in
//! use, however many calls have ended.
//!
//! A Redis that is slow, dead, loading, a replica, or part of a cluster that has the account elsewhere, is given up after the
//! first call that it fails, for all calls at once. The node then decides by itself (`alone.rs` says what it may let through),
//! or refuses, until Redis answers in time again. One that comes back empty learns of calls under way within a heartbeat,
//! and of money spent from what each node knows of it.
//!
//! This crate connects to one server or to what stands for one, such as a proxy or a managed service's address. It follows
//! neither sentinels nor a cluster's redirections.
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
mod node;
mod refusal;
mod request;
mod roll;
mod script;
mod settings;
mod store;

pub use connection::RedisStatus;
pub use settings::{Clock, OnError, RedisSettings, RedisSettingsError};
pub use store::RedisLimits;
