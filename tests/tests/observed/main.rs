//! What operators see of a gateway: metrics, the access log, usage and traces, through the built server, and what none of them
//! may tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exposition;
mod http2;
mod mix;
mod names;
mod receiver;
mod secrets;
mod stalled;
mod traces;
