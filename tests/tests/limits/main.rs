//! What keys may use: what is let through and what is not, what callers are told of it, and what a call is charged in the
//! end, through the built server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod blocked;
mod budget;
mod concurrency;
mod headers;
mod heads;
mod keys;
mod passthrough;
mod refusals;
mod reports;
mod reservation;
mod scene;
mod settlement;
mod usage;
mod waits;
