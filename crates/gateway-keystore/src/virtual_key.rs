//! A key that the gateway hands out, as opposed to a provider's.

use std::sync::Arc;

use gateway_call::ModelPattern;

/// What is known of a caller's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualKey {
    /// What logs call it; unique.
    pub name: Arc<str>,
    /// Patterns of the models it may use; none means no model.
    pub allowed_models: Vec<ModelPattern>,
    /// Whether it is accepted at all.
    pub is_enabled: bool,
}

impl VirtualKey {
    /// Whether the key may use this model, under the name that remains once the gateway's own prefix is stripped.
    pub fn allows(&self, model: &str) -> bool {
        self.allowed_models.iter().any(|pattern| pattern.matches(model))
    }

    /// Whether the key may use every model there is, whatever its name.
    pub fn allows_all(&self) -> bool {
        self.allowed_models.iter().any(|pattern| pattern.as_str() == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_allows_what_its_patterns_match() {
        let key = |patterns: &[&str]| VirtualKey {
            name: "test".into(),
            allowed_models: patterns.iter().map(|pattern| ModelPattern::new(pattern)).collect(),
            is_enabled: true,
        };
        assert!(key(&["*"]).allows("anything") && key(&["*"]).allows_all());
        assert!(key(&["gpt-*", "o3"]).allows("o3") && !key(&["gpt-*", "o3"]).allows("o3-mini"));
        assert!(!key(&[]).allows("") && !key(&["gpt-*"]).allows_all());
    }
}
