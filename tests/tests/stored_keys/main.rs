//! Keys that administrators make, change and end while the gateway runs, and what callers have of it at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod changes;
mod creation;
mod damaged;
mod expiry;
mod file_keys;
mod limits;
mod pepper;
mod records;
mod refusals;
mod rotation;
mod secrets;
mod spending;
