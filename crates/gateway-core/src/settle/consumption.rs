//! How many tokens a call takes: what was expected of it, what its upstream reports, and what came.
//!
//! A report is believed where it is one: of an answer that came to its end. Ahead of that it is a state of affairs, and often a
//! zero, so an answer that broke off costs at least what was seen of it. Whatever is not the upstream's word is marked.

#[cfg(test)]
mod tests;

use gateway_call::{Tokens, Usage};
use gateway_protocol::ReportedUsage;

/// How many tokens a call is expected to take, about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    pub(crate) prompt: u64,
    pub(crate) output: u64,
}

/// How much of an answer there was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    /// As the upstream reports it.
    pub(crate) reported: ReportedUsage,
    /// As the gateway saw it, in tokens, about.
    pub(crate) seen: u64,
    /// Whether the upstream has brought the answer to its end, which makes its report the last word.
    pub(crate) is_whole: bool,
}

/// What is known of the tokens that a call takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Consumption {
    expected: Expected,
    /// None if nobody looked into the answer.
    measure: Option<Measure>,
}

impl Consumption {
    /// Notes what the call is expected to take, which counts where its upstream does not report what it took.
    pub(super) fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// Notes how much of the answer there was.
    pub(super) fn measure(&mut self, measure: Measure) {
        self.measure = Some(measure);
    }

    /// Notes how much there is of a plain answer, which is all here: what the upstream reports of it, and how many `bytes` it has.
    pub(super) fn measure_whole(&mut self, reported: ReportedUsage, bytes: u64) {
        self.measure(Measure { reported, seen: self.worth(bytes), is_whole: true });
    }

    /// What bytes that nobody looked into amount to: a token for every four of them, and never more than was expected, for much of
    /// it is no content.
    fn worth(&self, bytes: u64) -> u64 {
        self.expected.output.min(bytes.div_ceil(4))
    }

    /// What the answer took, of which so many `bytes` went to the caller: what the upstream reports, else what the gateway saw,
    /// else what the bytes amount to.
    pub(super) fn tokens(&self, bytes: u64) -> Tokens {
        let unseen = || Measure { reported: ReportedUsage::default(), seen: self.worth(bytes), is_whole: false };
        let Measure { reported, seen, is_whole } = self.measure.unwrap_or_else(unseen);
        let said = self.told(reported, seen);
        let guess = self.guess(reported.total().filter(|total| is_whole && said.is_empty() && *total > 0), seen);
        let prompt = said.prompt.unwrap_or(guess.prompt);
        let least = if is_whole { 0 } else { guess.completion };
        let completion = said.completion.unwrap_or(guess.completion).max(least);
        let is_estimated = said.prompt != Some(prompt) || said.completion != Some(completion);
        Tokens { usage: Usage { prompt, completion, cached: reported.cached().min(prompt) }, is_estimated }
    }

    /// The halves of a report, as far as it tells them.
    fn told(&self, reported: ReportedUsage, seen: u64) -> Said {
        // Who answers in numbers, as embeddings do, has no word for the tokens of an answer.
        let has_none = seen == 0 && self.expected.output == 0 && !reported.is_empty();
        // Upstreams that count nothing fill in zeros; no prompt has none.
        let is_counted = |said: &u64| *said > 0 || self.expected.prompt == 0;
        let prompt = reported.prompt().filter(is_counted);
        let completion = reported.completion().filter(|said| *said > 0 || prompt.is_some() || seen == 0);
        Said {
            prompt: prompt.or_else(|| reported.total().filter(is_counted).filter(|_| completion.is_none() && has_none)),
            completion: completion.or(has_none.then_some(0)),
        }
    }

    /// What stands in for a half that the report does not tell. The `sum` of a report that tells nothing else is divided.
    fn guess(&self, sum: Option<u64>, seen: u64) -> Guess {
        match sum {
            Some(total) => Guess { prompt: total.saturating_sub(seen), completion: seen.min(total) },
            None => Guess { prompt: self.expected.prompt, completion: seen },
        }
    }
}

/// What a call took if its upstream does not say.
struct Guess {
    prompt: u64,
    completion: u64,
}

/// The halves of a report; none for what is not the upstream's word.
struct Said {
    prompt: Option<u64>,
    completion: Option<u64>,
}

impl Said {
    fn is_empty(&self) -> bool {
        self.prompt.or(self.completion).is_none()
    }
}
