//! Limits that several gateways share through Redis: how much they let through together, what they do while Redis is away,
//! and that nothing is lost or kept for ever, through the built server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod address;
mod changes;
mod crowd;
mod denial;
mod leaving;
mod load;
mod outage;
mod play;
mod scene;
mod silence;
mod start;
mod together;
mod upstream;
