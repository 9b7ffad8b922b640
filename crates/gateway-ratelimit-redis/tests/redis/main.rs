//! Limits in a real Redis. Skipped, with one line that says so, where `redis-server` is missing.

mod fixture;
mod money;
mod nodes;
mod outage;
mod same_as_local;
mod servers;
