//! The tokens that an upstream says a call took.
//!
//! Vendors agree on the numbers and not on their names. A number is taken where it is one and left out where it is not: what
//! is read here is what a caller's limits and budget are charged, so what cannot be read must never pass for a zero.

#[cfg(test)]
mod tests;

use crate::json::{Malformed, Scanner, whole_number};

/// The most tokens that a report is believed to mean. No model takes a thousandth of it, and sums of what is charged for it stay
/// far from the ends of their types.
const MOST: u64 = 1 << 32;

/// What an upstream says that a call took, member by member. The default says nothing.
///
/// A stream may say it in parts and more than once, each time with what there is so far: Anthropic's API, for one, tells the
/// prompt in its first event and counts the answer up from there. So reports are [merged](Self::merge) by the larger number of
/// each member, and a zero that stands for "not known yet" or an odd last frame takes nothing back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
}

impl ReportedUsage {
    /// Takes note of another report of the same answer.
    pub fn merge(&mut self, other: Self) {
        self.prompt = self.prompt.max(other.prompt);
        self.completion = self.completion.max(other.completion);
        self.total = self.total.max(other.total);
        self.cached = self.cached.max(other.cached);
    }

    /// The tokens of the prompt, said or left of the total. `None` if they cannot be told.
    pub fn prompt(&self) -> Option<u64> {
        self.prompt.or_else(|| Some(self.total?.saturating_sub(self.completion?)))
    }

    /// The tokens of the answer. `None` if they cannot be told.
    ///
    /// They are what the total has beyond the prompt, if that is more than is said: some vendors count the tokens of hidden
    /// reasoning in the total alone, though they charge for them as for the answer.
    pub fn completion(&self) -> Option<u64> {
        let left = self.total.zip(self.prompt).map(|(total, prompt)| total.saturating_sub(prompt));
        self.completion.max(left)
    }

    /// The tokens of both together, where nothing else is said. `None` if there is no total.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The part of the prompt that came from a cache, 0 if nothing is said of it. It may exceed the prompt.
    pub fn cached(&self) -> u64 {
        self.cached.unwrap_or(0)
    }

    /// Whether there is nothing in it that says how much the call took.
    pub fn is_empty(&self) -> bool {
        self.prompt.or(self.completion).or(self.total).is_none()
    }
}

/// Reads the value of a `usage` member, on which the scanner stands in `text`. A member that is no whole number, or more than
/// any call takes, says nothing.
pub(crate) fn read_usage(text: &[u8], scanner: &mut Scanner<'_>) -> Result<ReportedUsage, Malformed> {
    let mut usage = ReportedUsage::default();
    scanner.object(|scanner, key| {
        let count = match &*key.meaning() {
            b"prompt_tokens" | b"input_tokens" => &mut usage.prompt,
            b"completion_tokens" | b"output_tokens" => &mut usage.completion,
            b"total_tokens" => &mut usage.total,
            b"prompt_tokens_details" | b"input_tokens_details" => return read_details(text, scanner, &mut usage),
            _ => return scanner.value().map(drop),
        };
        // Some vendors give a number under both of its names, and then one of them may be 0.
        *count = tokens(&text[scanner.value()?]).max(*count);
        Ok(())
    })?;
    Ok(usage)
}

fn read_details(text: &[u8], scanner: &mut Scanner<'_>, usage: &mut ReportedUsage) -> Result<(), Malformed> {
    scanner.object(|scanner, key| {
        let value = scanner.value()?;
        if *key.raw == *b"cached_tokens" {
            usage.cached = tokens(&text[value]).max(usage.cached);
        }
        Ok(())
    })
}

fn tokens(value: &[u8]) -> Option<u64> {
    whole_number(value).filter(|count| *count <= MOST)
}
