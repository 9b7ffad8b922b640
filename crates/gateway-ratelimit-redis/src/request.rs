//! A call that asks to be let through.

use std::sync::Arc;

use gateway_ratelimit::{BudgetWindow, Demand, Limits, Moment};

/// Whose call it is, what it needs, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) key: &'a Arc<str>,
    pub(crate) limits: &'a Arc<Limits>,
    pub(crate) demand: Demand,
    pub(crate) at: Moment,
}

impl Request<'_> {
    /// The window of the budget that the call's money comes from.
    pub(crate) fn window(&self) -> Option<BudgetWindow> {
        self.limits.budget.map(|budget| budget.period.window(self.at.wall))
    }
}

/// Whether there is anything to say when a call ends: requests alone are not given back.
pub(crate) fn needs_settling(limits: &Limits) -> bool {
    limits.tokens.is_some() || limits.max_concurrent.is_some() || limits.budget.is_some()
}
