//! How many tokens a call takes: what was expected of it, and what came.

use gateway_call::{Tokens, Usage};

/// How many tokens a call is expected to take, about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    pub(crate) prompt: u64,
    pub(crate) output: u64,
}

/// What is known of the tokens that a call takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Consumption {
    expected: Expected,
    /// As the upstream reports it.
    reported: Option<Usage>,
    /// How much of the answer the gateway saw, in tokens, about; none if it did not look.
    seen: Option<u64>,
}

impl Consumption {
    /// Notes what the call is expected to take, which counts where its upstream does not report what it took.
    pub(super) fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// Notes how much of the answer there was: what the upstream reports of it, and what was seen, in tokens.
    pub(super) fn measure(&mut self, reported: Option<Usage>, seen: u64) {
        (self.reported, self.seen) = (reported, Some(seen));
    }

    /// Notes how much there is of a plain answer: what the upstream reports of it, and how many `bytes` it has.
    pub(super) fn measure_whole(&mut self, reported: Option<Usage>, bytes: u64) {
        self.measure(reported, self.worth(bytes));
    }

    /// What bytes that nobody looked into amount to: a token for every four of them, and never more than was expected, for much of
    /// it is no content.
    fn worth(&self, bytes: u64) -> u64 {
        self.expected.output.min(bytes.div_ceil(4))
    }

    /// What the answer took, of which so many `bytes` went to the caller: what the upstream reports, else what the gateway saw,
    /// else what the bytes amount to.
    pub(super) fn tokens(&self, bytes: u64) -> Tokens {
        let completion = self.seen.unwrap_or_else(|| self.worth(bytes));
        let guessed = || Usage { prompt: self.expected.prompt, completion, cached: 0 };
        Tokens { usage: self.reported.unwrap_or_else(guessed), is_estimated: self.reported.is_none() }
    }
}
