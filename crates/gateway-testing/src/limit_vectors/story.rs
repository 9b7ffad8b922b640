//! How a scenario is told.

use std::time::Duration;

use gateway_ratelimit::{Budget, BudgetPeriod, Demand, Denial, DenialCause, Level, Levels, NanoUsd, RateLimit, Used};

use super::{Operation, Scenario, Step};

/// A scenario while it is told: the limits of the next calls, and what has happened.
pub(super) struct Story {
    account: &'static str,
    rate_limit: RateLimit,
    budget: Option<Budget>,
    scenario: Scenario,
}

impl Story {
    pub(super) fn new(name: &'static str, rate_limit: RateLimit) -> Self {
        Self { account: "a", rate_limit, budget: None, scenario: Scenario { name, steps: Vec::new() } }
    }

    /// From here on, another account.
    pub(super) fn account(mut self, account: &'static str) -> Self {
        self.account = account;
        self
    }

    /// From here on, other limits.
    pub(super) fn limits(mut self, rate_limit: RateLimit) -> Self {
        self.rate_limit = rate_limit;
        self
    }

    /// From here on, another budget, in billionths of a dollar.
    pub(super) fn budget(mut self, limit: u64, period: BudgetPeriod) -> Self {
        self.budget = Some(Budget { limit: NanoUsd(limit), period });
        self
    }

    /// A call of a few tokens that cost nothing.
    pub(super) fn call(self, at_us: u64, tokens: u64, expected: Result<Levels, Denial>) -> Self {
        self.demand(at_us, Demand { tokens, cost: NanoUsd(0) }, expected)
    }

    /// A call that costs money and needs one token.
    pub(super) fn paid(self, at_us: u64, cost: u64, expected: Result<Levels, Denial>) -> Self {
        self.demand(at_us, Demand { tokens: 1, cost: NanoUsd(cost) }, expected)
    }

    fn demand(mut self, at_us: u64, demand: Demand, expected: Result<Levels, Denial>) -> Self {
        let operation = Operation::Reserve {
            account: self.account,
            rate_limit: self.rate_limit.clone(),
            budget: self.budget,
            demand,
            expected,
        };
        self.scenario.steps.push(Step { at_us, operation });
        self
    }

    /// The end of a call, the first one being 0.
    pub(super) fn settle(mut self, at_us: u64, call: usize, tokens: u64, cost: u64) -> Self {
        let used = Used { tokens, cost: NanoUsd(cost) };
        self.scenario.steps.push(Step { at_us, operation: Operation::Settle { call, used } });
        self
    }

    pub(super) fn end(self) -> Scenario {
        self.scenario
    }
}

/// What a caller is told of a quota: all of it, what remains, and the microseconds until all of it is there again.
pub(super) fn level(limit: u64, remaining: u64, reset_us: u64) -> Level {
    Level { limit, remaining, reset: Duration::from_micros(reset_us) }
}

/// What a caller is told whose key has a limit of requests alone.
pub(super) fn requests(limit: u64, remaining: u64, reset_us: u64) -> Levels {
    Levels { requests: Some(level(limit, remaining, reset_us)), tokens: None }
}

/// What a caller is told whose key has a limit of tokens alone.
pub(super) fn tokens(limit: u64, remaining: u64, reset_us: u64) -> Levels {
    Levels { requests: None, tokens: Some(level(limit, remaining, reset_us)) }
}

/// What a caller is told whose key has neither.
pub(super) const NOTHING: Levels = Levels { requests: None, tokens: None };

/// Not now, but after so many microseconds.
pub(super) fn wait(cause: DenialCause, after_us: u64, levels: Levels) -> Result<Levels, Denial> {
    Err(Denial { cause, retry_after: Some(Duration::from_micros(after_us)), levels })
}

/// No wait is known to help.
pub(super) fn never(cause: DenialCause, levels: Levels) -> Result<Levels, Denial> {
    Err(Denial { cause, retry_after: None, levels })
}
