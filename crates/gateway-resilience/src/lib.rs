//! Whether a call may try again, where and when.
//!
//! A gateway in front of failing upstreams can do two kinds of harm: it can give up where another attempt would have
//! brought the answer, and it can multiply an outage by trying again and again. Each part of this crate is one side of
//! that balance:
//!
//! | question | type |
//! |---|---|
//! | what is to be done about this outcome? | [`Verdict`] |
//! | which target of the model is next, and after how long? | [`Retries`], with a [`RetryPolicy`] and its [`Backoff`] |
//! | does the provider take any more retries? | [`RetryBudget`] |
//! | is the target fit to be asked, and with which credential? | [`TargetHealth`], with a circuit breaker inside |
//! | which of a provider's credentials are of use? | [`CredentialPool`] |
//!
//! Everything here is a function of its arguments. There is no clock, no randomness and no I/O: the moment comes in as
//! `now`, a random number as a `u64`. Nothing here waits, sends or logs; it says what should be done. What is shared between
//! calls is read without a lock, changed under short ones, and neither allocates.
//!
//! Begin with [`TargetHealth`] for what is known of a target and [`Retries`] for one call's way through several:
//!
//! ```
//! use gateway_call::Outcome;
//! use gateway_resilience::{BreakerPolicy, CredentialPool, Retries, RetryPolicy, TargetHealth, Verdict};
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! let now = Instant::now();
//! let target = || {
//!     let credentials = Arc::new(CredentialPool::new(1, now));
//!     Arc::new(TargetHealth::new(BreakerPolicy::default(), credentials, now))
//! };
//! let targets = [target(), target()];
//! let mut retries = Retries::new(RetryPolicy::default());
//!
//! // The best target comes first.
//! let step = retries.next(0..2, |it| targets[it].cool_down(now), 7).ok_or("nothing to try")?;
//! assert_eq!((step.target, step.delay), (0, Duration::ZERO));
//! let pass = targets[step.target].admit(now).ok_or("the breaker is open")?;
//! let credential = targets[step.target].credential(now, 0);
//! retries.begin(step);
//!
//! // It is asked too often and says so: it is left alone for as long as it wants, and the call goes on elsewhere at once.
//! let outcome = Outcome::RateLimited { retry_after: Some(Duration::from_secs(20)) };
//! pass.finish(credential, outcome, now);
//! retries.conclude(step.target, Verdict::on(outcome), targets[step.target].has_other_credential(now, 1 << credential));
//! let step = retries.next(0..2, |it| targets[it].cool_down(now), 7).ok_or("nothing to try")?;
//! assert_eq!((step.target, step.delay), (1, Duration::ZERO));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod breaker;
mod budget;
mod cool_down;
mod credential;
mod epoch;
mod health;
mod policy;
mod retries;
mod ring;
mod tally;

pub use backoff::Backoff;
pub use breaker::{BreakerChange, BreakerPolicy, BreakerState};
pub use budget::{BudgetPolicy, RetryBudget};
pub use credential::CredentialPool;
pub use health::{Lesson, Pass, Standing, TargetHealth};
pub use policy::{RetryPolicy, Verdict};
pub use retries::{Retries, Step};
