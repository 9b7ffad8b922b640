//! Time and chance, taken from outside so that tests can say what they are.

use jiff::Timestamp;

/// What a new key is made of besides what the administrator says.
pub trait Surroundings: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Bits that nobody can guess.
    ///
    /// # Errors
    ///
    /// The system has none. Then no key can be made.
    fn random(&self) -> Result<[u8; 32], getrandom::Error>;
}

/// The operating system's clock and random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSurroundings;

impl Surroundings for SystemSurroundings {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> Result<[u8; 32], getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(bits)
    }
}
