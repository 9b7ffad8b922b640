//! Which of a provider's credentials are of use.
//!
//! A credential that was refused is refused at every target of its provider, so this is kept per provider. It is left out for
//! a while and then tried again, because what made it useless is repaired elsewhere: a bill is paid, a permission granted.

use std::time::{Duration, Instant};

use crate::cool_down::CoolDown;
use crate::epoch::Epoch;

/// How long a rejected credential is left out. Long enough that hardly a call meets it, short enough that whoever repairs
/// it sees the effect.
const REJECTED_FOR: Duration = Duration::from_mins(1);

/// The most credentials of a pool that are used: a call remembers those it has used as the bits of a number.
const MAX_KEYS: usize = 64;

/// The credentials of one provider, known by their place in its list.
#[derive(Debug)]
pub struct CredentialPool {
    epoch: Epoch,
    rejected: Box<[CoolDown]>,
}

impl CredentialPool {
    /// A pool of so many credentials, all of them good.
    ///
    /// A provider without credentials counts as one with a single one. Beyond the 64th they are not used.
    pub fn new(keys: usize, now: Instant) -> Self {
        let rejected = (0..keys.clamp(1, MAX_KEYS)).map(|_| CoolDown::default()).collect();
        Self { epoch: Epoch::new(now), rejected }
    }

    /// Leaves a credential out for a minute, after the provider refused it. True if it was good until now: of many calls
    /// that meet the same refusal at once, one is told.
    pub fn reject(&self, key: usize, now: Instant) -> bool {
        self.rejected.get(key).is_some_and(|rejected| rejected.extend(self.epoch, now, REJECTED_FOR))
    }

    /// Whether a credential is left out at the moment. One that the pool does not have is.
    #[cfg(test)]
    pub(crate) fn is_rejected(&self, key: usize, now: Instant) -> bool {
        !self.remaining(key, now).is_zero()
    }

    /// How many there are; at least one.
    pub(crate) fn len(&self) -> usize {
        self.rejected.len()
    }

    /// For how long a credential is still left out.
    pub(crate) fn remaining(&self, key: usize, now: Instant) -> Duration {
        self.rejected.get(key).map_or(Duration::MAX, |rejected| rejected.remaining(self.epoch, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::any_instant;

    #[test]
    fn a_rejected_credential_comes_back_after_a_minute() {
        let start = any_instant();
        let pool = CredentialPool::new(2, start);
        assert!(pool.reject(1, start));
        assert!(!pool.reject(1, start), "said once");
        let almost = start + Duration::from_millis(59_999);
        assert_eq!([0, 1].map(|key| pool.is_rejected(key, almost)), [false, true]);
        assert_eq!([0, 1].map(|key| pool.is_rejected(key, start + REJECTED_FOR)), [false, false]);
        assert!(pool.reject(1, start + REJECTED_FOR), "said again when it is refused again");
    }

    #[test]
    fn there_are_between_one_and_64_credentials() {
        let start = any_instant();
        assert_eq!([0, 1, 64, 65].map(|keys| CredentialPool::new(keys, start).len()), [1, 1, 64, 64]);
        let pool = CredentialPool::new(1, start);
        assert!(pool.is_rejected(1, start));
        assert!(!pool.reject(1, start), "what is not there cannot be rejected");
    }

    #[test]
    fn of_many_who_are_refused_at_once_one_is_told() {
        let start = any_instant();
        let pool = CredentialPool::new(1, start);
        let told = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| pool.reject(0, start))).collect();
            threads.into_iter().filter_map(|it| it.join().ok()).filter(|it| *it).count()
        });
        assert_eq!(told, 1);
    }
}
