//! Stores under gateways: several nodes on one, changes by hand, outages, crashes, and files that cannot be used.
//!
//! What is the same in every database is tested in each. Where PostgreSQL is missing, its half says so and is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod by_hand;
mod kill;
mod lock;
mod many;
mod nodes;
mod opening;
mod outage;
mod remote;
mod replaced;
mod restart;
mod start_without;
