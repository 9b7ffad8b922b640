//! `master_keys`, listed without the keys.

use gateway_ratelimit::{RateLimit, UsdBudget};
use serde::Serialize;

use super::Ordered;
use crate::config::MasterKey;

/// One of `master_keys`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedMasterKey {
    pub name: String,
    /// The key's first and last characters.
    pub key_preview: String,
    pub allowed_models: Vec<String>,
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<UsdBudget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    pub metadata: Ordered<String>,
}

impl From<&MasterKey> for RedactedMasterKey {
    fn from(key: &MasterKey) -> Self {
        Self {
            name: key.name.clone(),
            key_preview: key.key.preview(),
            allowed_models: key.allowed_models.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            enabled: key.enabled,
            rate_limit: key.rate_limit.clone(),
            budget: key.budget.map(UsdBudget::from),
            expires_at: key.expires_at.map(|time| time.to_string()),
            metadata: Ordered(key.metadata.clone()),
        }
    }
}
