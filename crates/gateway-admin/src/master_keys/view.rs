//! Keys as administrators see them: everything but the key.

use gateway_keystore::{KeyRecord, is_weak, preview};
use gateway_ratelimit::{Budget, RateLimit, UsdBudget};
use gateway_secret::{KeyDigest, KeyDigester, Secret};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A key of the configuration file.
#[derive(Debug, Clone)]
pub struct FileKey {
    /// Its name, which is its identifier too.
    pub name: String,
    /// What the presented key is compared with, made by the same digester as those of the store.
    pub digest: KeyDigest,
    /// The key's first and last characters.
    pub preview: String,
    /// Whether the key is so short that it could be guessed.
    pub is_weak: bool,
    /// Patterns of the models that it may use.
    pub allowed_models: Vec<String>,
    /// What it may spend.
    pub rate_limit: Option<RateLimit>,
    /// How much money it may spend.
    pub budget: Option<Budget>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it is accepted at all.
    pub is_enabled: bool,
    /// The administrator's own notes.
    pub metadata: Vec<(String, String)>,
}

impl FileKey {
    /// A key that may do everything, until its fields say otherwise.
    pub fn new(name: &str, key: &Secret, digester: &KeyDigester) -> Self {
        let text = key.expose();
        let digest = digester.digest(text.as_bytes());
        Self { is_weak: is_weak(text), ..Self::from_digest(name, digest, preview(text)) }
    }

    /// The same for a key of which the file only has the digest. Whether it is weak, that does not say.
    pub fn from_digest(name: &str, digest: KeyDigest, preview: String) -> Self {
        Self {
            name: name.to_owned(),
            digest,
            preview,
            is_weak: false,
            allowed_models: vec!["*".to_owned()],
            rate_limit: None,
            budget: None,
            expires_at: None,
            is_enabled: true,
            metadata: Vec::new(),
        }
    }
}

/// A key, without the key.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct KeyView {
    /// Unique.
    pub id: String,
    /// What people and logs call it.
    pub name: String,
    /// The key's first and last characters.
    pub key_preview: String,
    /// Patterns of the models that it may use; none means no model.
    pub allowed_models: Vec<String>,
    /// What it may spend; null for any amount.
    pub rate_limit: Option<RateLimit>,
    /// How much money it may spend; null for any amount.
    pub budget: Option<UsdBudget>,
    /// When it stops working; null for never.
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Option<String>,
    /// Whether it is accepted at all.
    pub is_enabled: bool,
    /// The administrator's own notes.
    pub metadata: Value,
    /// When it was made; null if it is in the file.
    #[schemars(extend("format" = "date-time"))]
    pub created_at: Option<String>,
    /// When it was last changed; null if it is in the file.
    #[schemars(extend("format" = "date-time"))]
    pub updated_at: Option<String>,
    /// When it was last presented, to within a few seconds; null for never, and if it is in the file.
    #[schemars(extend("format" = "date-time"))]
    pub last_used_at: Option<String>,
    /// Until when the key before the last rotation is good, if it was given an overlap.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub previous_key_expires_at: Option<String>,
    /// Where it is kept.
    pub source: KeySource,
    /// There and true if the key is so short that it could be guessed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
}

/// Where a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// In the store, where it can be changed.
    Store,
    /// In the configuration file, which is not written.
    File,
}

/// A key that was just made, with the key itself, which nobody is ever told again.
#[derive(Debug)]
pub struct Issued {
    /// The key.
    pub key: Secret,
    /// Everything else.
    pub view: KeyView,
}

/// The same as it is written.
#[derive(Serialize, JsonSchema)]
pub(crate) struct IssuedKey<'a> {
    /// The key, in clear, this once.
    key: &'a str,
    #[serde(flatten)]
    view: &'a KeyView,
}

impl Issued {
    /// The whole of it as a JSON object, with the key in clear.
    pub fn with_secret(&self) -> impl Serialize {
        IssuedKey { key: self.key.expose(), view: &self.view }
    }
}

impl From<&KeyRecord> for KeyView {
    fn from(record: &KeyRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            key_preview: record.preview.clone(),
            allowed_models: record.allowed_models.clone(),
            rate_limit: record.rate_limit.clone(),
            budget: record.budget.map(UsdBudget::from),
            expires_at: record.expires_at.map(|time| time.to_string()),
            is_enabled: record.is_enabled,
            metadata: notes(&record.metadata),
            created_at: Some(record.created_at.to_string()),
            updated_at: Some(record.updated_at.to_string()),
            last_used_at: record.last_used_at.map(|time| time.to_string()),
            previous_key_expires_at: record.previous.map(|previous| previous.valid_until.to_string()),
            source: KeySource::Store,
            weak: record.is_weak,
        }
    }
}

impl From<&FileKey> for KeyView {
    fn from(key: &FileKey) -> Self {
        Self {
            id: key.name.clone(),
            name: key.name.clone(),
            key_preview: key.preview.clone(),
            allowed_models: key.allowed_models.clone(),
            rate_limit: key.rate_limit.clone(),
            budget: key.budget.map(UsdBudget::from),
            expires_at: key.expires_at.map(|time| time.to_string()),
            is_enabled: key.is_enabled,
            metadata: key.metadata.iter().cloned().collect(),
            created_at: None,
            updated_at: None,
            last_used_at: None,
            previous_key_expires_at: None,
            source: KeySource::File,
            weak: key.is_weak,
        }
    }
}

/// The notes. What was put there by hand and is no JSON is shown as the text that it is.
fn notes(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// What the audit log keeps of a key: neither secrets nor digests, and nothing that changes by itself.
pub(crate) fn audited(record: &KeyRecord) -> Option<String> {
    let mut view = serde_json::to_value(KeyView::from(record)).ok()?;
    let fields = view.as_object_mut()?;
    fields.remove("last_used_at");
    fields.remove("source");
    serde_json::to_string(&view).ok()
}

/// The same of a key whose row makes no sense.
pub(super) fn audited_damage(id: &str, problem: &str) -> String {
    serde_json::json!({ "id": id, "damaged": problem }).to_string()
}
