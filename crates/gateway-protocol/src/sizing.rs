//! How much of an answer a request allows.

use crate::json::whole_number;

/// What a request says of the size of its answer: the estimate that token limits go by before there is an answer.
///
/// Read from the members of the top level that OpenAI's APIs have for it. A value that is no whole number says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// The most tokens that each choice may have: the largest of `max_completion_tokens`, `max_tokens` and
    /// `max_output_tokens`, because which of them counts is for the upstream to say. `None` if the caller sets no bound.
    pub max_tokens: Option<u64>,
    /// How many choices are made, at least 1: the larger of `n` and `best_of`, which makes more than it sends.
    pub choices: u64,
}

impl Default for Sizing {
    fn default() -> Self {
        Self { max_tokens: None, choices: 1 }
    }
}

impl Sizing {
    /// Takes note of a member of the top level.
    pub(crate) fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens" => {
                self.max_tokens = self.max_tokens.max(whole_number(value));
            }
            b"n" | b"best_of" => self.choices = self.choices.max(whole_number(value).unwrap_or(1)),
            _ => {}
        }
    }
}
