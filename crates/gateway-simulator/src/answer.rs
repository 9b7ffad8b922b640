//! What the answers of the chat and the completion API have in common.

use bytes::Bytes;
use serde::Serialize;

use crate::Behaviour;
use crate::text::{count_tokens, first_tokens, generate};

/// 2026-01-01T00:00:00Z. A fixed time keeps equal requests at equal answers.
pub(crate) const CREATED: u64 = 1_767_225_600;

/// The `system_fingerprint` of every answer.
pub(crate) const FINGERPRINT: &str = "fp_simulator";

/// Token counts, in the shape of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are OpenAI's")]
pub(crate) struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }
}

/// The text of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Composition {
    pub(crate) text: String,
    pub(crate) tokens: usize,
    /// `max_tokens` was reached.
    pub(crate) is_cut_short: bool,
}

impl Composition {
    /// The answer to `question`: generated words if the behaviour asks for them, else the question.
    pub(crate) fn new(question: &str, behaviour: &Behaviour, max_tokens: Option<usize>) -> Self {
        let mut text = behaviour.words.or(behaviour.frames).map_or_else(|| question.to_owned(), generate);
        let (kept, tokens) = first_tokens(&text, max_tokens.unwrap_or(usize::MAX));
        let kept = kept.len();
        let is_cut_short = kept < text.len();
        text.truncate(kept);
        Self { text, tokens, is_cut_short }
    }

    /// A text that must not be cut short.
    pub(crate) fn whole(text: String) -> Self {
        let tokens = count_tokens(&text);
        Self { text, tokens, is_cut_short: false }
    }

    pub(crate) fn finish_reason(&self) -> &'static str {
        if self.is_cut_short { "length" } else { "stop" }
    }

    /// The answer's `id`: equal for equal texts.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}-sim{:016x}", hash(self.text.as_bytes()))
    }
}

/// FNV-1a, 64 bits: stable over versions and platforms, unlike the standard library's hasher.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Appends a value as JSON.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Strings, numbers and derived structures of them always serialise, and writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// A value as a JSON body.
pub(crate) fn json_body(value: &impl Serialize) -> Bytes {
    // Room for a typical answer, so that writing one grows the buffer once at most.
    let mut out = Vec::with_capacity(1024);
    write_json(&mut out, value);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composition_echoes_or_generates_and_respects_the_limit() {
        let echo = Composition::new("one two three", &Behaviour::default(), None);
        assert_eq!((echo.text.as_str(), echo.tokens, echo.finish_reason()), ("one two three", 3, "stop"));
        let short = Composition::new("one two three", &Behaviour::default(), Some(2));
        assert_eq!((short.text.as_str(), short.tokens, short.finish_reason()), ("one two ", 2, "length"));
        let generated = Composition::new("x", &Behaviour { words: Some(3), ..Behaviour::default() }, None);
        assert_eq!(generated.text, "alpha bravo charlie ");
    }
}
