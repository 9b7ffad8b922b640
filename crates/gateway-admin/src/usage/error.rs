//! Why no usage is told, in words that the HTTP side and the command line both pass on.

use gateway_keystore::StoreError;

use crate::error::{Invalid, store_message};

/// Why no usage is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// Something in the request cannot be.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Nothing is kept.
    #[error(
        "There is no store to keep usage in: `store.url` is `none`. Set it, or DB_URL, to sqlite:PATH or a postgresql:// URL."
    )]
    NoStore,
    /// The store did not answer, or not in time.
    #[error("{}", usage_message(.0))]
    Store(#[source] StoreError),
}

impl UsageError {
    /// The parameter at fault.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Invalid(invalid) => invalid.param(),
            _ => None,
        }
    }

    /// What is in the way that an administrator cannot see from outside, for the log.
    pub(crate) fn hidden_cause(&self) -> Option<String> {
        match self {
            // The answer says all of it.
            Self::Store(StoreError::Busy) => None,
            Self::Store(error) => Some(error.with_cause()),
            _ => None,
        }
    }
}

fn usage_message(error: &StoreError) -> &'static str {
    match error {
        StoreError::Busy => {
            "One report of usage is read at a time, and those before this one have taken too long. Try again shortly, or ask \
             of a shorter time."
        }
        StoreError::Refused { .. } => {
            "The store can be reached, but has not read the report. Try again shortly, or ask of a shorter time."
        }
        error => store_message(error),
    }
}
