//! The lines of a snapshot, which are JSON.

use std::sync::Arc;

use gateway_keystore::{KeyRecord, RetiredKey};
use gateway_ratelimit::{Budget, BudgetPeriod, BudgetWindow, RateLimit, UsdBudget};
use gateway_secret::KeyDigest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::settings::SettingsLine;
use crate::hex::{hex, unhex};
use crate::json::read_json;

/// What a line says. The last one about the same thing holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first one: how the others are to be understood, and how many of them were written together with it.
    Head(Head),
    /// A key as it is now.
    Key(Box<KeyLine>),
    /// The identifier of a key that is gone.
    Removed(String),
    /// A provider or a model.
    Settings(SettingsLine),
    /// What was spent in a window of a budget.
    Spent(SpentLine),
    /// The state of the store that the lines before this one bring keys and settings to.
    State { version: i64, token: String },
    /// The same in format 2, which knew no token.
    Version(i64),
}

/// How a file is to be understood.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u32,
    /// How many lines were written together with this one.
    pub(super) lines: u64,
    /// The identifier of the store that it is of. Not in format 2, like what follows.
    pub(super) store: Option<String>,
    /// Where that was.
    pub(super) place: Option<String>,
}

/// What was spent in a window of a budget, in billionths of a dollar.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpentLine {
    account: String,
    period: BudgetPeriod,
    start: i64,
    /// What the store knows of it, for all nodes.
    pub(super) recorded: u64,
    /// What this node has spent besides.
    pub(super) unrecorded: u64,
}

/// Whether a line is that of a key, without reading it.
pub(super) fn is_key(line: &[u8]) -> bool {
    line.starts_with(br#"{"key":"#)
}

pub(super) fn read_line(line: &[u8]) -> Result<Line, String> {
    read_json(&String::from_utf8_lossy(line))
}

impl SpentLine {
    pub(super) fn new(account: &str, window: BudgetWindow, recorded: u64, unrecorded: u64) -> Self {
        let (period, start) = (window.period, window.start.as_microsecond());
        Self { account: account.to_owned(), period, start, recorded, unrecorded }
    }

    /// Whose budget, and when.
    pub(super) fn place(&self) -> Result<(Arc<str>, BudgetWindow), String> {
        Ok((self.account.as_str().into(), BudgetWindow { period: self.period, start: time(self.start)? }))
    }
}

/// A key. Times are microseconds since the epoch, as in a store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyLine {
    id: String,
    name: String,
    digest: String,
    preview: String,
    is_weak: bool,
    previous: Option<(String, i64)>,
    allowed_models: Vec<String>,
    rate_limit: Option<RateLimit>,
    budget: Option<UsdBudget>,
    expires_at: Option<i64>,
    is_enabled: bool,
    metadata: String,
    created_at: i64,
    updated_at: i64,
    last_used_at: Option<i64>,
    revision: i64,
}

impl From<&KeyRecord> for KeyLine {
    fn from(key: &KeyRecord) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.to_string(),
            digest: hex(key.digest.as_bytes()),
            preview: key.preview.clone(),
            is_weak: key.is_weak,
            previous: key
                .previous
                .map(|previous| (hex(previous.digest.as_bytes()), previous.valid_until.as_microsecond())),
            allowed_models: key.allowed_models.clone(),
            rate_limit: key.rate_limit.clone(),
            budget: key.budget.map(UsdBudget::from),
            expires_at: key.expires_at.map(Timestamp::as_microsecond),
            is_enabled: key.is_enabled,
            metadata: key.metadata.clone(),
            created_at: key.created_at.as_microsecond(),
            updated_at: key.updated_at.as_microsecond(),
            last_used_at: key.last_used_at.map(Timestamp::as_microsecond),
            revision: key.revision,
        }
    }
}

impl TryFrom<KeyLine> for KeyRecord {
    type Error = String;

    fn try_from(line: KeyLine) -> Result<Self, String> {
        let previous = line
            .previous
            .map(|(text, until)| Ok::<_, String>(RetiredKey { digest: digest(&text)?, valid_until: time(until)? }));
        Ok(KeyRecord {
            digest: digest(&line.digest)?,
            previous: previous.transpose()?,
            budget: line.budget.map(Budget::try_from).transpose().map_err(|error| error.to_string())?,
            expires_at: line.expires_at.map(time).transpose()?,
            created_at: time(line.created_at)?,
            updated_at: time(line.updated_at)?,
            last_used_at: line.last_used_at.map(time).transpose()?,
            id: line.id.into(),
            name: line.name.into(),
            preview: line.preview,
            is_weak: line.is_weak,
            allowed_models: line.allowed_models,
            rate_limit: line.rate_limit,
            is_enabled: line.is_enabled,
            metadata: line.metadata,
            revision: line.revision,
        })
    }
}

pub(super) fn time(microseconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(microseconds).map_err(|error| error.to_string())
}

fn digest(text: &str) -> Result<KeyDigest, String> {
    let bytes = unhex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(KeyDigest::from_bytes).ok_or_else(|| "a digest is not 64 hexadecimal digits".to_owned())
}
