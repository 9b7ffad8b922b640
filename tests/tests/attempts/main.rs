//! Which attempts a call makes, in which order, and what bounds them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod budget;
mod credentials;
mod deadline;
mod lists;
mod order;
mod uploads;
mod waits;
