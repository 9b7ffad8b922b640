//! May this caller spend this much now.
//!
//! A caller's key has [`Limits`]: requests and tokens per time, calls at once, and money per day, month or for good. A
//! [`LimitStore`] keeps count. Before a call is sent, [`LimitStore::reserve`] takes what the call is expected to need from
//! every limit or from none; when the call is over, [`LimitStore::settle`] puts the truth in the place of the estimate.
//! [`LocalLimits`] counts in this process's memory, and is a [`SpendBook`] for those who keep what was spent of budgets.
//! [`FairQueue`] is who goes next when there is no room. [`RecentMean`] is what to expect of a call that does not say.
//!
//! Nothing here reads a clock, waits or does I/O: `now` comes in as an argument, and whoever waits does so elsewhere. Start
//! with [`RateLimit`], which is what administrators write.
//!
//! ```
//! use std::sync::Arc;
//! use gateway_ratelimit::{Budget, BudgetPeriod, Demand, LimitStore, LocalLimits, Moment, NanoUsd, RateLimit, Used};
//!
//! # async fn example(store: LocalLimits, at: Moment) -> Result<(), gateway_ratelimit::LimitError> {
//! let written = RateLimit { requests_per_minute: Some(60), tokens_per_minute: Some(90_000), ..RateLimit::default() };
//! let limits = Arc::new(written.limits(Some(Budget::from_usd(10.0, BudgetPeriod::Month)?))?);
//! let demand = Demand { tokens: 1_200, cost: NanoUsd(300_000) };
//! match store.reserve(&"team-a".into(), &limits, demand, at).await {
//!     Ok(reservation) => {
//!         println!("{:?} are left", reservation.levels());
//!         store.settle(reservation, Used { tokens: 800, cost: NanoUsd(200_000) }, at);
//!     }
//!     Err(denial) => println!("{:?}, again in {:?}", denial.cause, denial.retry_after),
//! }
//! # Ok(())
//! # }
//! ```

mod budget;
mod fair_queue;
mod limits;
mod local;
mod quota;
mod rate_limit;
mod recent_mean;
mod reservation;
mod standing;
mod store;

pub use budget::{Budget, BudgetPeriod, BudgetWindow, NanoUsd, Price, UsdBudget};
pub use fair_queue::{FairQueue, Refused, Ticket};
pub use limits::{Limits, RequestQuotas};
pub use local::LocalLimits;
pub use quota::{Bucket, Quota, Shortage};
pub use rate_limit::{LimitError, RateLimit};
pub use recent_mean::RecentMean;
pub use reservation::{Demand, Level, Levels, Origin, Reservation, Taken, Used};
pub use standing::Standing;
pub use store::{Denial, DenialCause, LimitStore, Moment, Spend, SpendBook};
