//! The tokens that an upstream says a call took.
//!
//! Vendors agree on the numbers and not on their names. A number is taken where it is one and left out where it is not: what
//! is read here is what a caller's limits and budget are charged.

#[cfg(test)]
mod tests;

use gateway_call::Usage;

use crate::json::{Malformed, Scanner, key_name, whole_number};

/// What the members of a `usage` said.
#[derive(Default)]
struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
}

/// Reads the value of a `usage` member, on which the scanner stands in `text`. `None` if it names no number of tokens.
pub(crate) fn read_usage(text: &[u8], scanner: &mut Scanner<'_>) -> Result<Option<Usage>, Malformed> {
    let mut counts = Counts::default();
    scanner.object(|scanner, key| {
        let count = match &*key_name(&text[key]) {
            b"prompt_tokens" | b"input_tokens" => &mut counts.prompt,
            b"completion_tokens" | b"output_tokens" => &mut counts.completion,
            b"total_tokens" => &mut counts.total,
            b"prompt_tokens_details" | b"input_tokens_details" => return read_details(text, scanner, &mut counts),
            _ => return scanner.value().map(drop),
        };
        // Some vendors give a number under both of its names, and then one of them may be 0.
        *count = whole_number(&text[scanner.value()?]).max(*count);
        Ok(())
    })?;
    Ok(counts.settle())
}

fn read_details(text: &[u8], scanner: &mut Scanner<'_>, counts: &mut Counts) -> Result<(), Malformed> {
    scanner.object(|scanner, key| {
        let value = scanner.value()?;
        if text[key] == *b"cached_tokens" {
            counts.cached = whole_number(&text[value]).max(counts.cached);
        }
        Ok(())
    })
}

impl Counts {
    /// The counts that are missing follow from the total: embeddings and reranking have a prompt only, and some vendors count
    /// the tokens of hidden reasoning in the total alone, though they charge for them as for the answer.
    fn settle(self) -> Option<Usage> {
        let Self { prompt, completion, total, cached } = self;
        prompt.or(completion).or(total)?;
        let total = total.unwrap_or(0);
        let prompt = prompt.unwrap_or_else(|| total.saturating_sub(completion.unwrap_or(0)));
        let completion = completion.unwrap_or(0).max(total.saturating_sub(prompt));
        Some(Usage { prompt, completion, cached: cached.unwrap_or(0).min(prompt) })
    }
}
