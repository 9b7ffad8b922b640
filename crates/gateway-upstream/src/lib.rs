//! The only code of the gateway that opens client sockets: connections, TLS, time limits, bodies.
//!
//! An [`Upstream`] is one provider's origin with its pool of connections. It takes a plain [`http::Request`] and gives
//! back the answer's head and a [`ResponseBody`] that is read at the caller's speed. Everything is bounded: each phase
//! by its own timeout, the head of an answer by size, a compressed body by what it inflates to, the pool by number and
//! age. Dropping a future or a body is the one way to cancel, and the upstream sees it at once.
//!
//! This crate never decides anything about a call: it does not retry what an upstream has seen (the one replacement of
//! a dead pooled connection apart), follows no redirect, fetches no address but its own, and looks into no body.
//!
//! Start with [`Upstream`].
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use gateway_call::Deadline;
//! use gateway_upstream::{Origin, RequestBody, SendLimits, Upstream, UpstreamConfig};
//!
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! let origin = Origin::from_uri(&"https://api.openai.com".parse()?)?;
//! let upstream = Upstream::new(UpstreamConfig::new(origin))?;
//! let request = http::Request::post("https://api.openai.com/v1/embeddings")
//!     .header("content-type", "application/json")
//!     .body(RequestBody::from_segments([r#"{"model":"text-embedding-3-small","input":"x"}"#.into()]))?;
//! let limits = SendLimits {
//!     connect: Duration::from_secs(5),
//!     headers: Duration::from_secs(60),
//!     deadline: Deadline::after(tokio::time::Instant::now().into_std(), Duration::from_secs(600)),
//! };
//! let response = upstream.send(request, limits).await?.map(|body| body.with_idle(Duration::from_secs(60)));
//! # Ok(())
//! # }
//! ```

mod alarm;
mod connect;
mod connection;
mod error;
mod exchange;
mod limits;
mod origin;
mod pool;
mod request;
mod response;
mod socket;
mod tls;
mod upstream;

pub use error::{BoxError, BuildError, UpstreamError, UpstreamErrorKind};
pub use limits::{SendLimits, Timeouts};
pub use origin::Origin;
pub use request::{RequestBody, SourceFailed};
pub use response::{MAX_DECODED, ResponseBody};
pub use tls::ExtraRoots;
pub use upstream::{Upstream, UpstreamConfig};

/// A certificate in DER, as taken by [`ExtraRoots::new`].
pub use rustls_pki_types::CertificateDer;
