//! Why something was not done with a key, in words that the HTTP side and the command line both pass on.

use gateway_keystore::StoreError;
use jiff::Timestamp;

use crate::error::{Invalid, store_message};

/// Why something was not done with a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A field is wrong. Nothing was stored.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such key.
    #[error("There is no key with the id `{id}`. List the keys to see those that there are.")]
    NotFound {
        /// What was looked for.
        id: String,
    },
    /// The identifier is another key's.
    #[error("The id `{id}` is taken. Choose another, or leave it out to have one made.")]
    TakenId {
        /// The identifier.
        id: String,
    },
    /// The key is another's.
    #[error("Another key has the same value. Leave `key` out to have one made.")]
    TakenKey,
    /// The key is one of the configuration file, which is not written.
    #[error("The key `{id}` is defined in the configuration file. Change it there.")]
    InFile {
        /// The identifier.
        id: String,
    },
    /// There is no store, so no key can be made.
    #[error(
        "There is no store to keep keys in: `store.url` is `none`. Set it, or DB_URL, to sqlite:PATH or a postgresql:// URL, \
         or write the key into the configuration file."
    )]
    NoStore,
    /// The key before the present one is still good, and there is a place for one such key.
    #[error(
        "The key `{id}` was rotated before, and the key that it replaced is good until {until}. Rotate it again then, or with \
         `overlap_secs` 0, which ends both at once."
    )]
    Overlapping {
        /// The identifier.
        id: String,
        /// When the overlap ends.
        until: Timestamp,
    },
    /// Others kept changing the key at the same time.
    #[error("The key was changed by others again and again. Try again.")]
    Contended,
    /// The change was made, but this node does not know of it yet.
    #[error("The change is stored, but this node cannot read the store right now. It takes effect as soon as it can.")]
    NotLive {
        /// What is in the way.
        #[source]
        source: StoreError,
    },
    /// The key's row in the store makes no sense; it was written by hand perhaps. Calls with the key are refused.
    #[error(
        "The key `{id}` is damaged in the store, so it is refused to callers and cannot be shown or changed: {problem}. Delete \
         it and create another one, or repair its row by hand."
    )]
    Damaged {
        /// The identifier.
        id: String,
        /// Which column it is, and what is wrong there.
        problem: String,
    },
    /// The store can be reached and did not make the change.
    #[error(
        "The change could not be written, and nothing was changed. The store can be reached, but did not take it; this \
         gateway's log says why."
    )]
    NotWritten {
        /// What is in the way.
        #[source]
        source: StoreError,
    },
    /// The store has not said whether it made the change.
    #[error(
        "The store cannot be reached. If the change had reached it before, it was made: look at the key before you try again."
    )]
    Unconfirmed {
        /// What is in the way.
        #[source]
        source: StoreError,
    },
    /// The store did not do it.
    #[error("{}", store_message(.0))]
    Store(#[source] StoreError),
    /// The system has no random numbers, so no key can be made.
    #[error("The system has no random numbers, so no key can be made. See this gateway's log.")]
    NoRandomness(#[source] getrandom::Error),
}

impl KeyError {
    /// The path of the field at fault.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Invalid(invalid) => invalid.param(),
            Self::TakenId { .. } => Some("id"),
            Self::TakenKey => Some("key"),
            _ => None,
        }
    }

    /// What a store's refusal to write the key of this identifier means.
    pub(super) fn of_write(error: StoreError, id: &str) -> Self {
        match error {
            StoreError::TakenId => Self::TakenId { id: id.to_owned() },
            StoreError::TakenKey => Self::TakenKey,
            StoreError::NotFound => Self::NotFound { id: id.to_owned() },
            StoreError::Stale => Self::Contended,
            source @ StoreError::Refused { .. } => Self::NotWritten { source },
            source @ StoreError::Unavailable { .. } => Self::Unconfirmed { source },
            error => Self::of_read(error),
        }
    }

    /// What a store's refusal to read a key means.
    pub(super) fn of_read(error: StoreError) -> Self {
        match error {
            StoreError::Unreadable { id, problem } => Self::Damaged { id, problem },
            error => Self::Store(error),
        }
    }

    /// What is in the way that an administrator cannot see from outside, for the log.
    pub(crate) fn hidden_cause(&self) -> Option<String> {
        match self {
            Self::Store(error)
            | Self::NotWritten { source: error }
            | Self::Unconfirmed { source: error }
            | Self::NotLive { source: error } => Some(error.with_cause()),
            Self::NoRandomness(error) => Some(error.to_string()),
            _ => None,
        }
    }
}
