//! `master_keys`, resolved.

use std::sync::Arc;

use gateway_call::ModelPattern;
use gateway_keystore::{is_weak, preview};
use gateway_ratelimit::{Budget, Limits, RateLimit};
use gateway_secret::{KeyDigest, KeyDigester, Secret};
use jiff::Timestamp;

/// A caller's key as the administrator wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct MasterKey {
    /// What logs call it.
    pub name: String,
    /// The key itself, or what it is known by.
    pub key: KeyMaterial,
    /// Models it may use; `["*"]` by default, empty means none.
    pub allowed_models: Vec<ModelPattern>,
    /// Whether it is accepted at all.
    pub enabled: bool,
    /// What it may spend, as written.
    pub rate_limit: Option<RateLimit>,
    /// How much money it may spend.
    pub budget: Option<Budget>,
    /// Both, ready to be counted against.
    pub limits: Arc<Limits>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// The administrator's own notes.
    pub metadata: Vec<(String, String)>,
}

/// A caller's key, as far as the configuration knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// The key.
    Plain(Secret),
    /// Its digest, as a store exports it. Whoever reads the file cannot call with it.
    Digest {
        /// Made by the [digester](super::Store::digester) of the same configuration, or it never fits a key.
        digest: KeyDigest,
        /// What people know the key by, such as `sk-gw-AbC…xyz`; empty if nothing was given.
        preview: String,
    },
}

impl KeyMaterial {
    /// What a presented key is compared with.
    pub fn digest(&self, digester: &KeyDigester) -> KeyDigest {
        match self {
            Self::Plain(key) => digester.digest(key.expose().as_bytes()),
            Self::Digest { digest, .. } => *digest,
        }
    }

    /// What may be shown of the key.
    pub fn preview(&self) -> String {
        match self {
            Self::Plain(key) => preview(key.expose()),
            Self::Digest { preview, .. } => preview.clone(),
        }
    }

    /// Whether the key is so short that it could be guessed. A digest does not tell.
    pub fn is_weak(&self) -> bool {
        matches!(self, Self::Plain(key) if is_weak(key.expose()))
    }
}
