//! Fixtures of the end-to-end suites in `tests/`: scenes, and callers that no library would be.
//!
//! For tests only: what cannot be set up fails the test at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod administrator;
pub mod clock;
pub mod counted;
pub mod database;
pub mod deaf;
pub mod drain;
pub mod edited;
pub mod entries;
pub mod form;
pub mod hexadecimal;
pub mod line;
pub mod load;
pub mod patience;
pub mod promptness;
pub mod python;
pub mod refusal;
pub mod site;
pub mod stage;
pub mod storm;
pub mod stream;
pub mod tls;
pub mod trail;
pub mod wire;
