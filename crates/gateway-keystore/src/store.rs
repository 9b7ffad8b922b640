//! The question that every key store answers.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use gateway_extension::Answer;
use gateway_secret::KeyDigest;

use crate::VirtualKey;

/// Finds keys by their digest. Asked once a call, before the call's body is read.
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// The key with this digest, or none.
    ///
    /// An implementation answers from memory wherever it can; it says [`KeyStoreError::Unavailable`] only when it can
    /// neither confirm nor deny the key, because "unknown" turns a valid caller away for good.
    fn find<'a>(&'a self, digest: &KeyDigest) -> Answer<'a, Result<Option<Arc<VirtualKey>>, KeyStoreError>>;
}

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// The store cannot be reached and the key is not among those it remembers.
    #[error("the key store cannot be reached")]
    Unavailable {
        /// The store's own account, for the log.
        source: Box<dyn Error + Send + Sync>,
    },
}
