//! A key as a store keeps it.

use std::fmt;
use std::sync::Arc;

use gateway_call::{Label, ModelPattern};
use gateway_ratelimit::{Budget, LimitError, RateLimit};
use gateway_secret::KeyDigest;
use jiff::Timestamp;

use crate::VirtualKey;

/// Everything that is kept of a key. The key itself is not: only its digest, and enough of its ends to recognise it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Unique, chosen by the administrator or made; never changes.
    pub id: Arc<str>,
    /// What people and logs call it.
    pub name: Arc<str>,
    /// What the presented key is compared with.
    pub digest: KeyDigest,
    /// The key's first and last characters, such as `sk-gw-AbC…xyz`.
    pub preview: String,
    /// Whether the key is so short that it could be guessed.
    pub is_weak: bool,
    /// The key before the last rotation, as long as it is still good.
    pub previous: Option<RetiredKey>,
    /// Patterns of the models that it may use; none means no model.
    pub allowed_models: Vec<String>,
    /// What it may spend, as written; none means any amount.
    pub rate_limit: Option<RateLimit>,
    /// How much money it may spend.
    pub budget: Option<Budget>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it is accepted at all.
    pub is_enabled: bool,
    /// The administrator's own notes: a JSON object, as text.
    pub metadata: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was last presented, to within a few seconds.
    pub last_used_at: Option<Timestamp>,
    /// Counts changes, from 1. A change is made to one revision and refused if there has been another since.
    pub revision: i64,
}

/// A key that was replaced and is still good for a while.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RetiredKey {
    /// What the presented key is compared with.
    pub digest: KeyDigest,
    /// Until when it is good.
    pub valid_until: Timestamp,
}

impl KeyRecord {
    /// A key of this identifier, and of this name, that may do everything; made at the epoch. Nothing is known of its value
    /// but the digest.
    pub fn unlimited(id: &str, digest: KeyDigest) -> Self {
        let id: Arc<str> = id.into();
        Self {
            name: Arc::clone(&id),
            id,
            digest,
            preview: "…".to_owned(),
            is_weak: false,
            previous: None,
            allowed_models: vec!["*".to_owned()],
            rate_limit: None,
            budget: None,
            expires_at: None,
            is_enabled: true,
            metadata: "{}".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            last_used_at: None,
            revision: 1,
        }
    }

    /// What calls see of it, by the digests of the keys that open it: the current key, and the one before as long as it is
    /// good. Both count against the same account, which is the identifier.
    ///
    /// # Errors
    ///
    /// Its limits make no sense.
    pub fn virtual_keys(&self) -> Result<Vec<(KeyDigest, VirtualKey)>, LimitError> {
        let limits = self.rate_limit.clone().unwrap_or_default().limits(self.budget)?;
        let current = VirtualKey {
            name: Label::of(&self.name),
            account: Arc::clone(&self.id),
            allowed_models: self.allowed_models.iter().map(|pattern| ModelPattern::new(pattern)).collect(),
            limits: Arc::new(limits),
            expires_at: self.expires_at,
            is_enabled: self.is_enabled,
        };
        let retired = self.previous.map(|previous| {
            let end = self.expires_at.map_or(previous.valid_until, |end| end.min(previous.valid_until));
            (previous.digest, VirtualKey { expires_at: Some(end), ..current.clone() })
        });
        Ok([(self.digest, current)].into_iter().chain(retired).collect())
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RetiredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetiredKey").field("valid_until", &self.valid_until).finish_non_exhaustive()
    }
}
