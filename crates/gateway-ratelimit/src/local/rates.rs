//! What one account has spent of requests, or of tokens, counted at every rate that it is limited to.
//!
//! Limits change, and gateways that share an account do not all hear of it at once, so what is spent belongs to no single
//! limit: there is a bucket for each rate, and whatever is let through is taken from all of them, whoever asked. A rate that
//! is new begins with what the fullest other one of its place has spent, and has no more room than any other leaves it; from
//! then on each counts for itself, and none is ever filled or emptied by a change. So nobody gains by changing limits to and
//! fro: over any time, no more is let through than the largest burst and the fastest rate of them allow. All are forgotten
//! together, when nothing is spent of any.
//!
//! Why that holds: a bucket counts no more than its own burst, so it may have seen less than others. But it never has more
//! room than a bucket of the largest burst and the fastest rate would have, and the one of the largest burst has missed
//! nothing. What is new learns from that one, or becomes it.

use crate::{Bucket, Quota};

/// How many rates of one place are counted at once; beyond, the one of the smallest burst is forgotten, which may know least.
/// At least 2, so that it is never the one of the largest.
const MOST: usize = 8;

/// The buckets of requests, or of tokens.
#[derive(Debug, Default)]
pub(super) struct Rates {
    counts: Vec<Count>,
}

/// What is spent at one rate.
#[derive(Debug, Clone, Copy)]
struct Count {
    /// The place of the quota among those of a call.
    slot: usize,
    quota: Quota,
    bucket: Bucket,
    /// When something was last taken from the bucket or given back to it.
    changed_at: u64,
}

impl Rates {
    /// The buckets of these quotas, each at its place: their own, or what they would begin with.
    pub(super) fn buckets<const N: usize>(&self, quotas: &[Option<Quota>; N], now: u64) -> [Bucket; N] {
        std::array::from_fn(|slot| match &quotas[slot] {
            None => Bucket::default(),
            Some(quota) => self.bucket(quota, slot, quotas, now),
        })
    }

    /// Takes units at every rate, and gives the buckets of these quotas, which have room for them. Takes nothing if there
    /// are no quotas: then nobody counts.
    pub(super) fn take<const N: usize>(&mut self, quotas: &[Option<Quota>; N], units: u64, now: u64) -> [Bucket; N] {
        if quotas.iter().all(Option::is_none) {
            return [Bucket::default(); N];
        }
        if let Some(taken) = self.take_counted(quotas, units, now) {
            return taken;
        }
        let begin = self.buckets(quotas, now);
        if self.are_full(now) {
            self.counts.clear();
        }
        for (slot, (quota, bucket)) in quotas.iter().zip(begin).enumerate() {
            if let Some(quota) = *quota
                && !self.counts.iter().any(|count| count.quota == quota)
            {
                self.make_room(slot, quotas);
                self.counts.push(Count { slot, quota, bucket, changed_at: now });
            }
        }
        for count in &mut self.counts {
            count.take(units, quotas.contains(&Some(count.quota)), now);
        }
        self.buckets(quotas, now)
    }

    /// Does so if these quotas are counted and no others, as they are from the second call of an account on. Nothing is new then,
    /// and nobody is forgotten.
    fn take_counted<const N: usize>(
        &mut self,
        quotas: &[Option<Quota>; N],
        units: u64,
        now: u64,
    ) -> Option<[Bucket; N]> {
        let asked = quotas.iter().flatten().count();
        let is_asked = |count: &Count| quotas.get(count.slot).is_some_and(|quota| *quota == Some(count.quota));
        if self.counts.len() != asked || !self.counts.iter().all(is_asked) {
            return None;
        }
        let mut taken = [Bucket::default(); N];
        for count in &mut self.counts {
            count.take(units, true, now);
            if let Some(bucket) = taken.get_mut(count.slot) {
                *bucket = count.bucket;
            }
        }
        Some(taken)
    }

    /// Puts what was used in the place of what was taken, at every rate. The call was let through with this quota, which
    /// keeps all of a debt.
    pub(super) fn settle(&mut self, quota: &Quota, taken: u64, used: u64, now: u64) {
        if used == taken {
            return;
        }
        if self.are_full(now) {
            self.counts.clear();
            if used > taken {
                self.counts.push(Count { slot: 0, quota: *quota, bucket: Bucket::default(), changed_at: now });
            }
        }
        for count in &mut self.counts {
            let before = count.bucket;
            count.bucket.settle(&count.quota, taken, used, now);
            if count.quota != *quota {
                count.bucket = count.bucket.capped(&count.quota, before, now);
            }
            count.changed_at = now;
        }
    }

    /// Whether nothing is spent.
    pub(super) fn are_full(&self, now: u64) -> bool {
        self.counts.iter().all(|count| count.bucket.backlog(now) == 0)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    fn bucket(&self, quota: &Quota, slot: usize, asked: &[Option<Quota>], now: u64) -> Bucket {
        let own = self.counts.iter().find(|count| count.quota == *quota);
        own.map_or_else(|| self.beginning(quota, slot, asked, now), |count| count.bucket)
    }

    /// What a rate that is new begins with: the most that any other makes of it.
    fn beginning(&self, quota: &Quota, slot: usize, asked: &[Option<Quota>], now: u64) -> Bucket {
        let has_place = self.counts.iter().any(|count| count.slot == slot);
        // Of a place that the call does not have, the quota may have been moved to this one.
        let is_moved = |from: usize| !has_place && asked.get(from).is_none_or(Option::is_none);
        let begins = |count: &Count| count.passed_on(quota, count.slot == slot || is_moved(count.slot), now);
        self.counts.iter().map(begins).max_by_key(|bucket| bucket.backlog(now)).unwrap_or_default()
    }

    fn make_room(&mut self, slot: usize, asked: &[Option<Quota>]) {
        let is_other = |count: &Count| count.slot == slot && !asked.contains(&Some(count.quota));
        let others = self.counts.iter().enumerate().filter(|(_, count)| is_other(count));
        if others.clone().count() >= MOST
            && let Some((least, _)) = others.min_by_key(|(_, count)| (count.quota.burst(), count.bucket.backlog(0)))
        {
            self.counts.remove(least);
        }
    }
}

impl Count {
    /// Takes units, whether they are there or not. At a rate that nobody asked for, a full bucket's worth at most: there is
    /// nothing to tell apart beyond.
    fn take(&mut self, units: u64, is_asked: bool, now: u64) {
        let before = self.bucket;
        self.bucket.take(&self.quota, units, now);
        if !is_asked {
            self.bucket = self.bucket.capped(&self.quota, before, now);
        }
        self.changed_at = now;
    }

    /// What another rate begins with for the sake of this one: with all that is spent, if it takes this one's place; else with
    /// what a bucket of its own burst could not have held, so that it has no more room.
    fn passed_on(&self, quota: &Quota, is_replaced: bool, now: u64) -> Bucket {
        let more = self.quota.burst().saturating_sub(quota.burst());
        let spared = if is_replaced { 0 } else { self.quota.time_of(more) };
        // Its arrival, so much earlier.
        let bucket = Bucket::until(self.bucket.backlog(spared));
        bucket.converted(&self.quota, quota, self.changed_at, now)
    }
}
