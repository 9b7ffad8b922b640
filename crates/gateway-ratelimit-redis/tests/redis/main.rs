//! Limits in a real Redis. Skipped, with one line that says so, where `redis-server` is missing.

#![allow(clippy::unwrap_used, reason = "a fixture fails its test rather than have every test handle an error")]

mod damage;
mod disagreement;
mod fixture;
mod money;
mod nodes;
mod outage;
mod same_as_local;
mod servers;
