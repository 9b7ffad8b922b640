//! Entries of the store that are not part of the configuration, and why.

use std::fmt;

use gateway_keystore::SettingsKind;

use crate::error::{ConfigError, ConfigErrors, StoreEntry};

/// An entry of the store that cannot be used. Everything else is served.
///
/// `Display` is one sentence for a log, without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is.
    pub kind: SettingsKind,
    /// Its name, as far as it has one.
    pub name: String,
    /// Why it cannot be used.
    pub reason: LeftOutReason,
}

/// Why an entry of the store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOutReason {
    /// Its settings are wrong: everything that is, with key paths within the entry.
    Invalid(ConfigErrors),
    /// Something else has the name already, and is what the name means.
    NameClash {
        /// What has it, as in `providers[3], config.yaml:12`.
        with: String,
    },
    /// The store cannot read it, for this reason.
    Unreadable(String),
}

impl LeftOut {
    /// What is wrong with it, as errors of a configuration that must not be without it.
    pub fn errors(&self) -> Vec<ConfigError> {
        match &self.reason {
            LeftOutReason::Invalid(errors) => errors.iter().cloned().collect(),
            reason => {
                let entry = StoreEntry { kind: self.kind, name: self.name.clone() };
                vec![ConfigError { entry: Some(entry), ..ConfigError::of_key("", reason.to_string()) }]
            }
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = StoreEntry { kind: self.kind, name: self.name.clone() };
        write!(f, "{entry} is left out: {}", self.reason)
    }
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(errors) => {
                for (index, error) in errors.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{}", error.finding())?;
                }
                match errors.omitted() {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            Self::NameClash { with } => write!(f, "its name is that of {with}; rename or remove one of them"),
            Self::Unreadable(problem) => f.write_str(problem),
        }
    }
}
