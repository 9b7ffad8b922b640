//! Real time, for what is about time.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
pub fn now() -> Instant {
    Instant::now()
}
