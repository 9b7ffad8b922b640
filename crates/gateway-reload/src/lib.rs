//! Keeps a running gateway at what its file and its store say.
//!
//! A [`Reloader`] holds the last configuration that was good in the parts it was made of: what the file and the environment
//! say ([`gateway_config::Settings`]) and what the store adds. Whatever changes, the file, the store, or somebody who asks, the
//! whole is resolved and compiled aside, and only if all of it is good is it put into force, by one swap in
//! [`gateway_core::Gateway::reconfigure`]. Otherwise nothing changes, and [`Reloader::status`] says why. Start with [`Reloader`].
//!
//! A [`FileWatch`] tells when files have changed, through editors that write in place, editors that rename, and directories
//! of links that Kubernetes swaps.
//!
//! This crate serves no calls, opens no sockets and writes no files.

mod hops;
mod host;
mod looks;
mod making;
mod pending;
mod reloader;
mod report;
mod status;
mod watch;

pub use host::{Host, NoHost};
pub use reloader::{Cause, Reloader};
pub use status::{Reloaded, Reloads, Status};
pub use watch::FileWatch;
