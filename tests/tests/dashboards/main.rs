//! What is under `deploy/`: the dashboard, the rules and the stack name things that exist, and the tools that read them accept them.
//!
//! The rules are checked by `promtool`, of Debian's package `prometheus`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dashboard;
mod exported;
mod families;
mod place;
mod promql;
mod promtool;
mod rules;
mod stack;
