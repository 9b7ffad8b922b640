//! Streams through the built server, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arrival;
mod back_pressure;
mod cancellation;
mod connections;
mod framing;
mod time_limits;
mod truncation;
