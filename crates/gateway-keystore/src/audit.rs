//! What is noted of each change: who made it, when, and what it changed.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::SettingsKind;

/// A line of the audit log, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// To what: its identifier.
    pub object: Arc<str>,
    /// How it was before, as a JSON object without secrets; none if it was not there.
    pub before: Option<String>,
    /// How it is now.
    pub after: Option<String>,
}

/// Who changes things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever holds the admin key, through the Admin API.
    Admin,
    /// Whoever runs the gateway's own commands.
    Cli,
}

/// What is done to things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A key is made.
    CreateKey,
    /// A key is changed, but for its value.
    UpdateKey,
    /// A key gets a new value.
    RotateKey,
    /// A key ends.
    DeleteKey,
    /// A provider or a model is made.
    CreateSettings(SettingsKind),
    /// A provider or a model is changed.
    UpdateSettings(SettingsKind),
    /// A provider or a model is taken away.
    DeleteSettings(SettingsKind),
}

impl Actor {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Cli => "cli",
        }
    }
}

impl Action {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateKey => "master_key.create",
            Self::UpdateKey => "master_key.update",
            Self::RotateKey => "master_key.rotate",
            Self::DeleteKey => "master_key.delete",
            Self::CreateSettings(SettingsKind::Provider) => "provider.create",
            Self::UpdateSettings(SettingsKind::Provider) => "provider.update",
            Self::DeleteSettings(SettingsKind::Provider) => "provider.delete",
            Self::CreateSettings(SettingsKind::Model) => "model.create",
            Self::UpdateSettings(SettingsKind::Model) => "model.update",
            Self::DeleteSettings(SettingsKind::Model) => "model.delete",
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A line of the audit log, as it is read again: perhaps one that another version of this program has written, so that the
/// actor and the action are any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number; later lines have higher ones.
    pub number: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// Before.
    pub before: Option<String>,
    /// After.
    pub after: Option<String>,
}
