//! The document of the API held against the built binary: it is valid, it tells of everything that is there, all of it answers as
//! told, and nothing that schemathesis thinks of is answered in any other way.
//!
//! The tools are Python's, as with `sdk.rs`: `.ci/run` installs `tests/openapi/requirements.txt`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod document;
mod fuzz;
mod health;
mod operations;
mod python;
mod scene;
mod usage;
