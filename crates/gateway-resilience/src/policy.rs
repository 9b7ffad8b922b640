//! How often to try again, and what an outcome asks for.

use std::time::Duration;

use gateway_call::{Outcome, TimeoutPhase};

use crate::Backoff;

/// How often and how fast the targets of one model are tried for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many attempts may follow the first, at whichever of the model's targets. With 0 there is one attempt.
    pub max_retries: u32,
    /// The wait before targets are tried a second time.
    pub backoff: Backoff,
    /// The longest cool-down that a call waits for. A target that cools down for longer is left out.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: 2, backoff: Backoff::default(), max_retry_after: Duration::from_secs(10) }
    }
}

/// What is to be done after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This is the answer.
    Commit,
    /// The upstream's refusal is the answer: it is about the request, and any other upstream would agree.
    PassThrough,
    /// It may go better elsewhere or later.
    Retry,
    /// It may go better with another credential; without one, elsewhere or later.
    Rotate,
    /// This target will not serve the call; another may.
    NextTarget,
    /// No target of this model will serve the call; another model may.
    NextModel,
    /// There is nobody left to answer, or no time.
    GiveUp,
}

impl Verdict {
    /// What an outcome asks for.
    ///
    /// Of an attempt whose credential was rejected the caller makes [`NextTarget`](Self::NextTarget) if the target has no
    /// other one: waiting does not make a credential valid.
    pub const fn on(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Commit,
            Outcome::ClientFault => Self::PassThrough,
            Outcome::ContextLength => Self::NextModel,
            Outcome::ModelMissing => Self::NextTarget,
            Outcome::CredentialsRejected | Outcome::RateLimited { .. } => Self::Rotate,
            Outcome::Cancelled | Outcome::Timeout(TimeoutPhase::Total) => Self::GiveUp,
            // The upstream failed, was overloaded or was too slow. What is not known here yet is taken to be of this kind.
            _ => Self::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_verdict() {
        let retry_after = Some(Duration::from_secs(1));
        let verdicts = [
            (Outcome::Success, Verdict::Commit),
            (Outcome::ClientFault, Verdict::PassThrough),
            (Outcome::ContextLength, Verdict::NextModel),
            (Outcome::ModelMissing, Verdict::NextTarget),
            (Outcome::CredentialsRejected, Verdict::Rotate),
            (Outcome::RateLimited { retry_after: None }, Verdict::Rotate),
            (Outcome::RateLimited { retry_after }, Verdict::Rotate),
            (Outcome::Overloaded { retry_after: None }, Verdict::Retry),
            (Outcome::Overloaded { retry_after }, Verdict::Retry),
            (Outcome::ServerError, Verdict::Retry),
            (Outcome::InvalidResponse, Verdict::Retry),
            (Outcome::Transport, Verdict::Retry),
            (Outcome::Truncated, Verdict::Retry),
            (Outcome::Timeout(TimeoutPhase::Connect), Verdict::Retry),
            (Outcome::Timeout(TimeoutPhase::Headers), Verdict::Retry),
            (Outcome::Timeout(TimeoutPhase::FirstToken), Verdict::Retry),
            (Outcome::Timeout(TimeoutPhase::Idle), Verdict::Retry),
            (Outcome::Timeout(TimeoutPhase::Total), Verdict::GiveUp),
            (Outcome::Cancelled, Verdict::GiveUp),
        ];
        for (outcome, verdict) in verdicts {
            assert_eq!(Verdict::on(outcome), verdict, "{outcome:?}");
        }
    }
}
