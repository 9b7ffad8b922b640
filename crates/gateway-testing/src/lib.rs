//! Test doubles for the gateway: a scripted upstream, the built server on a free port, a plain client.
//!
//! For tests only. It holds no logic of the gateway and checks nothing by itself; it makes the two ends of a test easy
//! to say and everything in between observable without sleeping.
//!
//! Start with [`FakeUpstream`] and [`GatewayProcess`].
//!
//! ```
//! use gateway_testing::{FakeUpstream, Script};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let upstream = FakeUpstream::start([Script::events([r#"{"choices":[]}"#, "[DONE]"])]).await?;
//! println!("configure a provider with api_base: {}", upstream.api_base());
//! assert!(upstream.requests().is_empty());
//! # Ok(())
//! # }
//! ```

#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test double fails its test rather than have every test handle an error"
)]

pub mod binary;
pub mod client;
mod fake_upstream;
pub mod limit_vectors;
mod postgres_server;
mod redis_server;
mod required;
pub mod store_conformance;

pub use binary::{Folder, GatewayProcess, Run};
pub use client::{Answer, Client};
pub use fake_upstream::{FakeUpstream, Gate, ReceivedRequest, Script};
pub use postgres_server::PostgresServer;
pub use redis_server::RedisServer;
pub use required::find_program;
