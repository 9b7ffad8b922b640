//! The crate against real sockets: what a receiver gets is read with OpenTelemetry's own definition of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod delivery;
mod spans;
