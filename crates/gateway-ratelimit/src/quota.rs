//! So many in so long: the generic cell rate algorithm (ITU-T I.371, annex A), in microseconds.
//!
//! A bucket remembers one number, the theoretical arrival time: when it would be empty again. What is taken moves that time
//! on, what is given back moves it back, and the bucket can never hold more than its burst.
//!
//! Times are whole microseconds, so that a script in Redis, whose numbers are exact up to 2^53, decides the same. What does
//! not divide evenly is rounded against the caller, once for each amount: a request costs the next whole microsecond, a
//! number of tokens costs its exact time rounded up. As every request is rounded alike and the burst is as many of them, a
//! burst is let through whole, and a limit is missed by less than a thousandth up to 1,000 requests a second. So that a
//! full burst of tokens, too, is let through in parts, the bucket has a little grace for their rounding, which is never
//! worth a whole token. What is given back is rounded down, which leaves less than a microsecond of it behind.

use std::time::Duration;

use crate::Level;

/// Into how many parts a burst of tokens may fall without any of them being refused for the rounding of the others: each is
/// rounded by less than a microsecond, and there is this much grace.
const GRACE: u64 = 100;

/// No amount is larger: sums of a few are exact in the numbers of every backend.
const MOST_UNITS: u64 = 1 << 50;

/// No period is longer.
const LONGEST_PERIOD: Duration = Duration::from_secs(u32::MAX as u64);

/// So many units in a period, and how many may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    limit: u64,
    period: Duration,
    burst: u64,
    /// So many microseconds are so many units' worth.
    micros: u64,
    units: u64,
    /// The time of a full burst, with the grace.
    capacity: u64,
}

impl Quota {
    /// Requests, which come one by one. A limit or burst of 0 blocks.
    ///
    /// None if the period is not of whole microseconds, is zero or longer than 136 years, if the limit is above one in a
    /// microsecond, or the burst above 2^50.
    pub fn requests(limit: u64, period: Duration, burst: u64) -> Option<Self> {
        let micros = whole_micros(period)?;
        (limit <= micros).then(|| micros.div_ceil(limit.max(1))).and_then(|each| {
            let quota = Self { limit, period, burst, micros: each, units: 1, capacity: 0 };
            quota.with_capacity()
        })
    }

    /// Tokens, which come in any number; all of a period's may come at once. A limit of 0 blocks.
    ///
    /// None if the period is not of whole microseconds, is zero or longer than 136 years, or the limit above 2^50.
    pub fn tokens(limit: u64, period: Duration) -> Option<Self> {
        let micros = whole_micros(period)?;
        Self { limit, period, burst: limit, micros, units: limit.max(1), capacity: 0 }.with_capacity()
    }

    fn with_capacity(self) -> Option<Self> {
        let is_countable = self.limit <= MOST_UNITS && self.burst <= MOST_UNITS;
        let is_even = self.micros.is_multiple_of(self.units);
        let grace = if is_even { 0 } else { GRACE.min(self.micros / self.units) };
        let capacity = if self.is_blocked() { 0 } else { self.time_of(self.burst).saturating_add(grace) };
        is_countable.then_some(Self { capacity, ..self })
    }

    /// Units in a period.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The period.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Units at once.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// Whether nothing is ever let through.
    pub fn is_blocked(&self) -> bool {
        self.limit == 0 || self.burst == 0
    }

    /// What a unit costs, as a fraction: so many microseconds are so many units' worth. What an amount costs is rounded up
    /// to whole microseconds, see [`Self::time_of`].
    pub fn pace(&self) -> (u64, u64) {
        (self.micros, self.units)
    }

    /// How far so many units move the arrival, in microseconds, rounded up. Larger amounts never cost less.
    pub fn time_of(&self, units: u64) -> u64 {
        // Most products fit, and dividing by half as many bits is several times as fast.
        if let Some(micros) = units.checked_mul(self.micros) {
            return micros.div_ceil(self.units);
        }
        let micros = u128::from(units) * u128::from(self.micros);
        u64::try_from(micros.div_ceil(self.units.into())).unwrap_or(u64::MAX)
    }

    /// How far so many units that are given back move the arrival back, in microseconds, rounded down.
    pub fn time_within(&self, units: u64) -> u64 {
        if let Some(micros) = units.checked_mul(self.micros) {
            return micros / self.units;
        }
        let micros = u128::from(units) * u128::from(self.micros);
        u64::try_from(micros / u128::from(self.units)).unwrap_or(u64::MAX)
    }

    /// How far ahead of now the arrival may be after a take, in microseconds; 0 if the quota blocks.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What a caller is told when the arrival is this many microseconds ahead of now.
    pub fn level(&self, backlog: u64) -> Level {
        let room = self.capacity.saturating_sub(backlog);
        let remaining = if let Some(units) = room.checked_mul(self.units) {
            units / self.micros
        } else {
            let units = u128::from(room) * u128::from(self.units);
            u64::try_from(units / u128::from(self.micros)).unwrap_or(u64::MAX)
        };
        Level { limit: self.burst, remaining: remaining.min(self.burst), reset: Duration::from_micros(backlog) }
    }

    /// The time that what was spent of this quota in `backlog` microseconds is in another, at most all of its burst.
    fn backlog_in(&self, other: &Self, backlog: u64) -> u64 {
        let times = u128::from(self.units) * u128::from(other.micros);
        let over = u128::from(self.micros) * u128::from(other.units);
        let divisor = greatest_common_divisor(times, over);
        // What is too large to multiply is larger than any burst.
        let micros = u128::from(backlog).checked_mul(times / divisor).map(|it| it.div_ceil(over / divisor));
        micros.and_then(|it| u64::try_from(it).ok()).unwrap_or(u64::MAX).min(other.capacity)
    }
}

/// How much of a quota is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// When it would be empty again, in microseconds of the clock that it is used with.
    arrival: u64,
}

/// Units cannot be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// They can after so many microseconds.
    Until(u64),
    /// There are never so many at once.
    Forever,
}

impl Bucket {
    /// One that would be empty again at this moment, in microseconds of the clock that it is used with.
    pub fn until(arrival: u64) -> Self {
        Self { arrival }
    }

    /// How far its arrival is ahead of now, in microseconds: how long until nothing of the quota is spent.
    pub fn backlog(self, now: u64) -> u64 {
        self.arrival.saturating_sub(now)
    }

    /// Whether so many units can be taken now; takes nothing.
    pub fn check(self, quota: &Quota, units: u64, now: u64) -> Result<(), Shortage> {
        if units > quota.burst || quota.is_blocked() {
            return Err(Shortage::Forever);
        }
        let ahead = self.backlog(now).saturating_add(quota.time_of(units));
        match ahead.saturating_sub(quota.capacity) {
            0 => Ok(()),
            missing => Err(Shortage::Until(missing)),
        }
    }

    /// Takes units, whether they are there or not.
    pub fn take(&mut self, quota: &Quota, units: u64, now: u64) {
        self.arrival = self.arrival.max(now).saturating_add(quota.time_of(units));
    }

    /// Puts what was used in the place of what was taken. What comes back beyond a full bucket is lost; what was used beyond
    /// what was taken is owed. The difference is rounded once, against the caller.
    pub fn settle(&mut self, quota: &Quota, taken: u64, used: u64, now: u64) {
        let back = quota.time_within(taken.saturating_sub(used));
        let owed = quota.time_of(used.saturating_sub(taken));
        self.arrival = self.arrival.saturating_sub(back).max(now).saturating_add(owed);
    }

    /// Keeps no more than a full bucket's worth of what was added since it was like `before`.
    pub(crate) fn capped(self, quota: &Quota, before: Self, now: u64) -> Self {
        let most = before.arrival.max(now.saturating_add(quota.capacity));
        Self { arrival: self.arrival.min(most) }
    }

    /// The bucket of another quota of which as much was spent when this one was last changed, though not more than all. What
    /// has come back since has done so at the faster of both rates.
    pub(crate) fn converted(self, from: &Quota, to: &Quota, changed_at: u64, now: u64) -> Self {
        let as_of = |moment: u64| moment.saturating_add(from.backlog_in(to, self.backlog(moment)));
        Self { arrival: as_of(changed_at).min(as_of(now)) }
    }
}

fn whole_micros(period: Duration) -> Option<u64> {
    let micros = u64::try_from(period.as_micros()).ok()?;
    let is_whole = Duration::from_micros(micros) == period;
    (is_whole && micros > 0 && period <= LONGEST_PERIOD).then_some(micros)
}

fn greatest_common_divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
