//! Keys that the gateway makes.

use gateway_secret::Secret;

/// A key that was just made, to be shown once.
#[derive(Debug, Clone)]
pub struct MintedKey {
    /// The key.
    pub secret: Secret,
}
