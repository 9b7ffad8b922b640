//! The tokens that a call took, as an upstream reported them.

/// Tokens of one call, in the upstream's own count.
///
/// The default is a call that took none, which is also how a failed call is settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, those from a cache included.
    pub prompt: u64,
    /// Tokens of the answer, those of hidden reasoning included.
    pub completion: u64,
    /// The part of `prompt` that came from the upstream's cache, which some charge less for; never more than `prompt`.
    pub cached: u64,
}

impl Usage {
    /// Tokens of prompt and answer together, which is what token limits count.
    pub const fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_a_cache_is_not_counted_twice() {
        assert_eq!(Usage { prompt: 10, completion: 5, cached: 8 }.total(), 15);
        assert_eq!(Usage { prompt: u64::MAX, completion: 1, cached: 0 }.total(), u64::MAX);
    }
}
