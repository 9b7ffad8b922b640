//! The simulator on real sockets, as its clients see it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod client;
mod endpoints;
mod faults;
mod streams;
