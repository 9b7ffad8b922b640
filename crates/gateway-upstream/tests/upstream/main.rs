//! The crate against real sockets: every peer here is a script on a listener of 127.0.0.1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod cancellation;
mod dialing;
mod http2;
mod late_frames;
mod peer;
mod pool;
mod refused_streams;
mod refused_uploads;
mod time_limits;
mod tls;
mod uploads;
