//! More calls than can be served at once: who waits, who is turned away, and that whatever ends makes room for the next,
//! through the built server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attempts;
mod draining;
mod fairness;
mod places;
mod provider;
mod queue;
mod readers;
mod scene;
