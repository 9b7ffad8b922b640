//! A key that the gateway hands out, as opposed to a provider's.

use std::sync::Arc;

use gateway_call::{Label, ModelPattern};
use gateway_ratelimit::Limits;
use jiff::Timestamp;

/// What is known of a caller's key on the path of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualKey {
    /// What logs and metrics call it.
    pub name: Label,
    /// Under which name its spending is counted; unique.
    pub account: Arc<str>,
    /// Patterns of the models it may use; none means no model. Shared, since most keys have the same.
    pub allowed_models: Arc<[ModelPattern]>,
    /// What it may spend.
    pub limits: Arc<Limits>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it is accepted at all.
    pub is_enabled: bool,
}

impl VirtualKey {
    /// A key without limits that may use any model.
    pub fn unlimited(name: &str) -> Self {
        Self {
            account: name.into(),
            name: Label::of(name),
            allowed_models: Arc::new([ModelPattern::new("*")]),
            limits: Arc::default(),
            expires_at: None,
            is_enabled: true,
        }
    }

    /// Whether the key may use this model, under the name that remains once the gateway's own prefix is stripped.
    pub fn allows(&self, model: &str) -> bool {
        self.allowed_models.iter().any(|pattern| pattern.matches(model))
    }

    /// Whether the key may use every model there is, whatever its name.
    pub fn allows_all(&self) -> bool {
        self.allowed_models.iter().any(|pattern| pattern.as_str() == "*")
    }

    /// Whether the key has stopped working. Asks for the time only if it ever does.
    pub fn has_expired(&self, now: impl FnOnce() -> Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_allows_what_its_patterns_match() {
        let key = |patterns: &[&str]| VirtualKey {
            allowed_models: patterns.iter().map(|pattern| ModelPattern::new(pattern)).collect(),
            ..VirtualKey::unlimited("test")
        };
        assert!(key(&["*"]).allows("anything") && key(&["*"]).allows_all());
        assert!(key(&["gpt-*", "o3"]).allows("o3") && !key(&["gpt-*", "o3"]).allows("o3-mini"));
        assert!(!key(&[]).allows("") && !key(&["gpt-*"]).allows_all());
    }

    #[test]
    fn a_key_expires_when_its_time_comes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = VirtualKey { expires_at: Some(at(10)), ..VirtualKey::unlimited("test") };
        assert!(!key.has_expired(|| at(9)) && key.has_expired(|| at(10)));
        assert!(!VirtualKey::unlimited("test").has_expired(|| at(i64::from(u32::MAX))));
    }
}
