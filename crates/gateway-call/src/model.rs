//! Model names and the patterns that stand for many of them.

use std::fmt;
use std::sync::Arc;

/// The name of a model, cheap to clone. Data from a caller or a configuration, never part of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ModelName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for ModelName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A model name in which every `*` stands for any run of characters, the empty one included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelPattern(Box<str>);

impl ModelPattern {
    /// A pattern from its text; any text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// The text that the pattern was made from.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern stands for this one name only.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether `name` fits. Takes at most the product of both lengths: a mismatch goes back to the last `*` only.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where to go on after a mismatch: behind the last star, with that star taking one byte more.
        let mut last_star: Option<(usize, usize)> = None;
        while n < name.len() {
            if pattern.get(p) == Some(&b'*') {
                last_star = Some((p + 1, n));
                p += 1;
            } else if pattern.get(p) == Some(&name[n]) {
                p += 1;
                n += 1;
            } else if let Some((after_star, taken)) = last_star {
                last_star = Some((after_star, taken + 1));
                p = after_star;
                n = taken + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-*", "gpt-", true),
            ("gpt-*", "GPT-4", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*-mini", "gpt-4o-mini", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYb", false),
            ("*模型*", "大模型-1", true),
        ] {
            assert_eq!(ModelPattern::new(pattern).matches(name), expected, "{pattern} on {name}");
        }
    }

    /// The definition, exponential and obviously right.
    fn reference(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|taken| reference(rest, &name[taken..])),
            Some((byte, rest)) => {
                name.split_first().is_some_and(|(first, tail)| first == byte && reference(rest, tail))
            }
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(ModelPattern::new(&pattern).matches(&name), reference(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
