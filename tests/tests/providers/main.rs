//! Providers and models in the store: made by the Admin API and by hand, on one node and on several, sealed, damaged, and tried.
//!
//! What is the same in every database is tested in each. Where PostgreSQL is missing, its half says so and is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conditional;
mod damaged;
mod detailed;
mod empty_start;
mod fields;
mod health;
mod hush;
mod live;
mod mended;
mod models;
mod nodes;
mod notify;
mod refusals;
mod scene;
mod sealed;
mod secrets;
mod undisturbed;
mod unopened;
mod unsayable;
mod withheld;
