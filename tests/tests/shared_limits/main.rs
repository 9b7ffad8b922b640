//! Limits that several gateways share through Redis: how much they let through together, what they do while Redis is away,
//! and that nothing is lost or kept for ever, through the built server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crowd;
mod scene;
mod together;
mod upstream;
