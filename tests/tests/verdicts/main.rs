//! What becomes of each kind of failure: one table of what an upstream may do, and one of where a stream may be cut.
//!
//! `cargo test --test verdicts -- --nocapture` shows both with what came of every row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod behaviours;
mod cuts;
mod scene;
mod table;
mod too_long;
