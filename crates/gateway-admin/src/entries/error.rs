//! Why something was not done with a provider or a model, in words that the HTTP side and the command line both pass on.

use gateway_keystore::{SettingsKind, StoreError};

use crate::error::{Problem, in_short, store_message};

/// Why something was not done with an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The configuration would not work. Nothing was stored.
    #[error("{}", in_short(.0))]
    Invalid(Vec<Problem>),
    /// Something else needs the entry. Nothing was changed.
    #[error("The {kind} `{id}` cannot be taken away. {}", in_short(.problems))]
    InUse {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        id: String,
        /// What would be wrong without it.
        problems: Vec<Problem>,
    },
    /// There is no such entry.
    #[error("There is no {kind} with the id `{id}`. List the {kind}s to see those that there are.")]
    NotFound {
        /// What was looked for.
        kind: SettingsKind,
        /// The name that it should have.
        id: String,
    },
    /// The name is that of an entry of the store.
    #[error("The id `{id}` is taken: the store has a {kind} of this name. Change that one, or choose another.")]
    Taken {
        /// What has it.
        kind: SettingsKind,
        /// The name.
        id: String,
    },
    /// The name is that of an entry of the configuration file.
    #[error("The id `{id}` is taken: the configuration file has a {kind} of this name. Choose another.")]
    TakenInFile {
        /// What has it.
        kind: SettingsKind,
        /// The name.
        id: String,
    },
    /// The entry is in the configuration file, which is not written.
    #[error("The {kind} `{id}` is defined in the configuration file. Change it there.")]
    InFile {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        id: String,
    },
    /// There is no store.
    #[error(
        "There is no store to keep providers and models in: `store.url` is `none`. Set it, or DB_URL, to sqlite:PATH or a \
         postgresql:// URL, or change the configuration file."
    )]
    NoStore,
    /// The entry's row makes no sense, so it cannot be changed.
    #[error(
        "The {kind} `{id}` cannot be read from the store: {problem}. Delete it and create it anew, or repair its row by hand."
    )]
    Unreadable {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// The entry's secrets cannot be opened, so it can only be changed by who brings others.
    #[error(
        "The secrets of the {kind} `{id}` cannot be read from the store: {problem}. Send {}: they replace all secrets that it \
         had, and its other settings stay.",
        in_the_place_of_secrets(*.kind)
    )]
    Sealed {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// What is stored of it makes no sense, and what is to change of it is not enough to go by.
    #[error(
        "The settings of the {kind} `{id}` cannot be read from the store, so that none of them can be kept. Send all of them, \
         {} among them, or delete it.",
        where_calls_go(*.kind)
    )]
    Damaged {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        id: String,
    },
    /// It was stored, and something that happened at the same time keeps it from being served.
    #[error(
        "The {kind} `{id}` is stored but not in force: something else was changed at the same time. GET \
         /admin/v1/config/version says why."
    )]
    NotInForce {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        id: String,
    },
    /// Others kept changing what the change was tried on.
    #[error(
        "Nothing was changed: others kept changing providers and models at the same time, so it could not be told whether \
         the {kind} `{id}` goes with them. Try again."
    )]
    Contended {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        id: String,
    },
    /// Others have changed what the change was tried on, and this node does not know of it yet.
    #[error(
        "Nothing was changed: others have changed providers and models, and this node cannot read the store right now to try \
         the change on what they have made. Try again shortly."
    )]
    Behind(#[source] StoreError),
    /// The change was made, but this node does not know of it yet.
    #[error("The change is stored, but this node cannot read the store right now. It takes effect as soon as it can.")]
    NotLive(#[source] StoreError),
    /// The store can be reached and did not make the change.
    #[error(
        "The change could not be written, and nothing was changed. The store can be reached, but did not take it; this \
         gateway's log says why."
    )]
    NotWritten(#[source] StoreError),
    /// The store has not said whether it made the change.
    #[error(
        "The store cannot be reached. If the change had reached it before, it was made: look before you try again."
    )]
    Unconfirmed(#[source] StoreError),
    /// The store did not do it.
    #[error("{}", store_message(.0))]
    Store(#[source] StoreError),
}

impl EntryError {
    /// What a store's refusal to write this entry means.
    pub(super) fn of_write(error: StoreError, kind: SettingsKind, id: &str) -> Self {
        let id = id.to_owned();
        match error {
            StoreError::TakenId => Self::Taken { kind, id },
            StoreError::NotFound => Self::NotFound { kind, id },
            source @ StoreError::Refused { .. } => Self::NotWritten(source),
            source @ StoreError::Unavailable { .. } => Self::Unconfirmed(source),
            error => Self::of_read(error, kind),
        }
    }

    /// What a store's refusal to read an entry means.
    pub(super) fn of_read(error: StoreError, kind: SettingsKind) -> Self {
        match error {
            StoreError::Unreadable { id, problem } => Self::Unreadable { kind, id, problem },
            error => Self::Store(error),
        }
    }

    /// Everything that is wrong, if it is more than one thing can say.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) | Self::InUse { problems, .. } => problems,
            _ => &[],
        }
    }

    /// What is in the way that an administrator cannot see from outside, for the log.
    pub(crate) fn hidden_cause(&self) -> Option<String> {
        match self {
            Self::Store(error)
            | Self::NotWritten(error)
            | Self::Unconfirmed(error)
            | Self::NotLive(error)
            | Self::Behind(error) => Some(error.with_cause()),
            _ => None,
        }
    }
}

fn in_the_place_of_secrets(kind: SettingsKind) -> &'static str {
    match kind {
        SettingsKind::Provider => "`api_key`, or null for none, and `headers` if it needs any",
        SettingsKind::Model => "`endpoint`, with `api_key` if it needs one, or `targets`",
    }
}

fn where_calls_go(kind: SettingsKind) -> &'static str {
    match kind {
        SettingsKind::Provider => "`api_base` or `provider_type`",
        SettingsKind::Model => "`endpoint` or `targets`",
    }
}
