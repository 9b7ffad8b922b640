//! The server as a process: how it starts, what it says, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod configuration;
mod draining;
mod logging;
mod memory;
mod program;
