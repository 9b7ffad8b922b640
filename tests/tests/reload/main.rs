//! A configuration that changes under a running gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_files;
mod carried;
mod storm;
mod triggers;
