//! Time and random numbers, taken from outside so that tests can say what they are.

use jiff::Timestamp;

/// What the time is.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;
}

/// Where new keys and identifiers come from.
pub trait Rng: Send + Sync {
    /// Bits that nobody can guess.
    ///
    /// # Errors
    ///
    /// The system has none. Then no key can be made.
    fn random(&self) -> Result<[u8; 32], getrandom::Error>;
}

/// The operating system's clock and random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Rng for System {
    fn random(&self) -> Result<[u8; 32], getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(bits)
    }
}
