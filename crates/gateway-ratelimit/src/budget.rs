//! Money: what a token costs, and how much may be spent by when.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::LimitError;
use crate::limits::part;

/// The largest budget and the highest price of a million tokens, in dollars: more is a slip of the pen, and billionths of it
/// still fit.
const MOST_USD: f64 = 1e9;

/// US dollars, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoUsd(pub u64);

/// What a model costs, in trillionths of a US dollar a token: $0.15 for a million tokens are 150,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// For each token of the prompt.
    pub input: u64,
    /// For each token of the answer.
    pub output: u64,
}

/// Money that may be spent in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How much.
    pub limit: NanoUsd,
    /// By when.
    pub period: BudgetPeriod,
}

/// A budget as administrators write it, in files, rows and the API; [`Budget`] is what it means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(description = "Money that a key may spend in a period."))]
#[serde(deny_unknown_fields)]
pub struct UsdBudget {
    /// How much, in US dollars; 0 blocks.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = MOST_USD)))]
    pub usd: f64,
    /// By when.
    pub period: BudgetPeriod,
}

/// How long a budget lasts; days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriod {
    /// Until midnight.
    Day,
    /// Until the first of the next month.
    Month,
    /// For good.
    Total,
}

/// The window of a budget that a moment lies in, by the moment at which it begins; that of a total budget begins at the
/// epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetWindow {
    /// The budget's period.
    pub period: BudgetPeriod,
    /// Its beginning.
    pub start: Timestamp,
}

impl Price {
    /// The price of a million tokens, in dollars, as providers publish it. What is finer than a millionth of a dollar is
    /// rounded.
    ///
    /// An error names `input` or `output`: a price is neither negative nor above a billion dollars.
    pub fn from_usd_per_million(input: f64, output: f64) -> Result<Self, LimitError> {
        Ok(Self { input: scaled("input", input, 1e6)?, output: scaled("output", output, 1e6)? })
    }

    /// What so many tokens cost, rounded up to a billionth of a dollar once; as much as can be said if it is more.
    pub fn cost(&self, prompt_tokens: u64, completion_tokens: u64) -> NanoUsd {
        let product = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let trillionths = product(prompt_tokens, self.input).saturating_add(product(completion_tokens, self.output));
        NanoUsd(u64::try_from(trillionths.div_ceil(1_000)).unwrap_or(u64::MAX))
    }
}

impl Budget {
    /// A budget in dollars, rounded to billionths. 0 blocks.
    ///
    /// An error names `usd`: a budget is neither negative nor above a billion dollars, nor so small that it would be
    /// rounded to one that blocks.
    pub fn from_usd(usd: f64, period: BudgetPeriod) -> Result<Self, LimitError> {
        let limit = NanoUsd(scaled("usd", usd, 1e9)?);
        if limit == NanoUsd(0) && usd > 0.0 {
            let problem = "must be 0, which blocks, or at least a billionth of a dollar".to_owned();
            return Err(LimitError { field: "usd", problem });
        }
        Ok(Self { limit, period })
    }

    /// How much, in dollars.
    pub fn usd(&self) -> f64 {
        self.limit.usd()
    }

    /// What one of `nodes` may let its callers spend when they cannot count together: what is known to be spent, and its
    /// part of the rest.
    pub fn share(&self, nodes: u32, spent: NanoUsd) -> Self {
        let rest = self.limit.0.saturating_sub(spent.0);
        Self { limit: NanoUsd(self.limit.0 - rest + part(rest, nodes)), ..*self }
    }
}

impl NanoUsd {
    /// As dollars.
    pub fn usd(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact to nine million dollars, and for people to read")]
        let billionths = self.0 as f64;
        billionths / 1e9
    }
}

impl From<Budget> for UsdBudget {
    fn from(budget: Budget) -> Self {
        Self { usd: budget.usd(), period: budget.period }
    }
}

impl TryFrom<UsdBudget> for Budget {
    type Error = LimitError;

    fn try_from(written: UsdBudget) -> Result<Self, LimitError> {
        Self::from_usd(written.usd, written.period)
    }
}

impl fmt::Display for BudgetPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads [`BudgetPeriod::name`].
impl FromStr for BudgetPeriod {
    type Err = LimitError;

    fn from_str(name: &str) -> Result<Self, LimitError> {
        let problem = || format!("must be one of {}", Self::ALL.map(Self::name).join(", "));
        let found = Self::ALL.into_iter().find(|period| period.name() == name);
        found.ok_or_else(|| LimitError { field: "period", problem: problem() })
    }
}

impl BudgetPeriod {
    /// Every period there is, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Total];

    /// What it is called wherever it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The window that a moment lies in.
    pub fn window(self, wall: Timestamp) -> BudgetWindow {
        let day = TimeZone::UTC.to_datetime(wall).date();
        let start = match self {
            Self::Day => midnight(day),
            Self::Month => midnight(day.first_of_month()),
            Self::Total => Some(Timestamp::UNIX_EPOCH),
        };
        // The calendar begins within a day: its first one has no midnight.
        BudgetWindow { period: self, start: start.unwrap_or(Timestamp::MIN) }
    }
}

impl BudgetWindow {
    /// When the next one begins. None if there is no next one: after a total budget, or when the calendar ends.
    pub fn end(&self) -> Option<Timestamp> {
        let day = TimeZone::UTC.to_datetime(self.start).date();
        let next = match self.period {
            BudgetPeriod::Day => day.tomorrow().ok()?,
            BudgetPeriod::Month => day.last_of_month().tomorrow().ok()?,
            BudgetPeriod::Total => return None,
        };
        midnight(next)
    }
}

fn midnight(day: Date) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
}

/// Dollars as a whole number of `parts` to the dollar.
fn scaled(field: &'static str, usd: f64, parts: f64) -> Result<u64, LimitError> {
    if !(0.0..=MOST_USD).contains(&usd) {
        let problem = format!("must be a number of dollars from 0 to {MOST_USD}");
        return Err(LimitError { field, problem });
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10^18")]
    let whole = (usd * parts).round() as u64;
    Ok(whole)
}

#[cfg(test)]
mod tests;
