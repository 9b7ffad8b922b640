//! So many in so long: the generic cell rate algorithm (ITU-T I.371, annex A), in microseconds.
//!
//! A bucket remembers one number, the theoretical arrival time: when it would be empty again. What is taken moves that time
//! on, what is given back moves it back, and the bucket can never hold more than its burst.

use std::time::Duration;

/// So many units in a period, and how many may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    limit: u64,
    period: Duration,
    burst: u64,
}

/// How much of a quota is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// When it would be empty again, in microseconds of the clock that it is used with.
    arrival: u64,
}
