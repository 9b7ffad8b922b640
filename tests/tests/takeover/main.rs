//! One process takes over from another, and no call fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connection;
mod crowd;
mod inherited;
mod notified;
mod reuse_port;
