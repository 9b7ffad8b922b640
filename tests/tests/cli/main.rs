//! Keys and tables from the shell: what is printed where, what it means for gateways that run, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod beside;
mod create;
mod list;
mod migrate;
mod mistakes;
mod places;
mod rotate;
