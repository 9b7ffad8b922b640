//! The listener on real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod breaking;
mod draining;
mod fixture;
mod inheriting;
mod refusing;
mod serving;
mod spreading;
mod stalling;
mod takeover;
mod timing;
mod tls;
