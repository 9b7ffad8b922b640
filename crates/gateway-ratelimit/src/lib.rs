//! May this caller spend this much now.
//!
//! A caller's key has [`Limits`]: requests and tokens per time, calls at once, and money per day, month or for good. A
//! [`LimitStore`] keeps count. Before a call is sent, [`LimitStore::reserve`] takes what the call is expected to need from
//! every limit or from none; when the call is over, [`LimitStore::settle`] puts the truth in the place of the estimate.
//! [`LocalLimits`] counts in this process's memory. [`FairQueue`] is who goes next when there is no room.
//!
//! Nothing here reads a clock, waits or does I/O: `now` comes in as an argument, and whoever waits does so elsewhere.

mod budget;
mod fair_queue;
mod limits;
mod local;
mod quota;
mod rate_limit;
mod recent_mean;
mod reservation;
mod store;

pub use budget::{Budget, BudgetPeriod, BudgetWindow, NanoUsd, Price};
pub use fair_queue::{FairQueue, Refused, Ticket};
pub use limits::Limits;
pub use local::LocalLimits;
pub use quota::{Bucket, Quota, Shortage};
pub use rate_limit::{RateLimit, RateLimitError};
pub use recent_mean::RecentMean;
pub use reservation::{Demand, Level, Levels, Reservation, Used};
pub use store::{Denial, DenialCause, LimitStore, Moment, Spend, SpendBook};
