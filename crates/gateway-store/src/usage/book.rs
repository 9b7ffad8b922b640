//! Sums in memory, which calls add to.
//!
//! A call looks its sums up by the numbers of its labels, under the lock of one of many shards, for as long as it takes to add
//! seven numbers. Nothing is allocated unless the combination is new. Names are copied then, so that the book keeps no label
//! alive that the configuration has let go of.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_call::{AttemptRecord, CallRecord, Event, Label, Observer, Outcome};
use gateway_keystore::{UsageSlot, UsageSums};
use gateway_ratelimit::NanoUsd;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::pending::{MOST_SLOTS, hour_of, other};

/// Calls that are settled at the same time rarely meet in one of them, and to empty one takes no longer than some microseconds.
const SHARDS: usize = 64;
/// The key and the model of a call of which they are not known.
const UNKNOWN: &str = "unknown";
/// The provider of a call for which none was tried.
const NONE: &str = "none";

/// What the calls of this process took since somebody last came for it.
///
/// Each settled call is counted once, in the hour in which it ended by the system's clock: under the name of its key, the entry
/// of the configuration that its model led to, and the provider that answered it or was tried last. Key and model are
/// `unknown` where they are not known, as of a call that was refused before, and the provider is `none` where none was tried.
/// It knows at most 65 536 combinations at a time; calls of others are counted as key, model and provider `other`, so
/// that totals stay right.
#[derive(Debug)]
pub struct UsageBook {
    shards: [Mutex<Shard>; SHARDS],
}

/// Sums by the hour and the numbers of key, model and provider.
type Shard = HashMap<[u64; 4], Tally>;

#[derive(Debug)]
struct Tally {
    slot: UsageSlot,
    sums: UsageSums,
}

impl Default for UsageBook {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Observer for UsageBook {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event {
            self.count(record, Timestamp::now());
        }
    }
}

impl UsageBook {
    /// Counts a call that ended at this moment.
    pub fn count(&self, record: &CallRecord<'_>, ended: Timestamp) {
        let provider = answering(record.attempts).map(|attempt| &attempt.provider);
        let hour = hour_of(ended);
        let numbers = [hour.as_second().cast_unsigned(), number(record.key), number(record.entry), number(provider)];
        let taken = taken(record);
        let mut shard = self.shards[shard_of(numbers)].lock();
        if let Some(tally) = shard.get_mut(&numbers) {
            tally.sums += taken;
            return;
        }
        let is_full = shard.len() >= MOST_SLOTS / SHARDS;
        // No label has that number: they are counted from 0.
        let numbers = if is_full { [numbers[0], u64::MAX - 1, 0, 0] } else { numbers };
        let slot = || if is_full { other(hour) } else { slot(hour, record, provider) };
        shard.entry(numbers).or_insert_with(|| Tally { slot: slot(), sums: UsageSums::default() }).sums += taken;
    }

    /// Takes what was counted since the last time. Combinations that were not used meanwhile are forgotten.
    pub(super) fn take(&self) -> Vec<(UsageSlot, UsageSums)> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            shard.lock().retain(|_, tally| {
                let sums = std::mem::take(&mut tally.sums);
                let is_used = !sums.is_empty();
                if is_used {
                    taken.push((tally.slot.clone(), sums));
                }
                is_used
            });
        }
        taken
    }
}

/// The attempt that a call is counted under: the one whose answer the caller got. Of hedged attempts that need not be the last
/// one, but all others were cancelled then, mostly before their upstream answered.
fn answering(attempts: &[AttemptRecord]) -> Option<&AttemptRecord> {
    let last = |is_it: fn(&AttemptRecord) -> bool| attempts.iter().rev().find(|attempt| is_it(attempt));
    last(|attempt| attempt.outcome != Outcome::Cancelled)
        .or_else(|| last(|attempt| attempt.status.is_some()))
        .or(attempts.last())
}

fn number(label: Option<&Label>) -> u64 {
    label.map_or(u64::MAX, Label::number)
}

/// Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4): numbers that differ by little, as those of
/// labels do, end up in different shards.
fn shard_of(numbers: [u64; 4]) -> usize {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = numbers.into_iter().fold(0_u64, |mixed, number| (mixed.rotate_left(5) ^ number).wrapping_mul(GOLDEN));
    // The upper bits are those that depend on all others.
    usize::from(mixed.to_be_bytes()[0]) % SHARDS
}

fn slot(hour: Timestamp, record: &CallRecord<'_>, provider: Option<&Label>) -> UsageSlot {
    let name = |label: Option<&Label>, without: &str| Arc::from(label.map_or(without, Label::as_str));
    UsageSlot {
        hour,
        key: name(record.key, UNKNOWN),
        model: name(record.entry, UNKNOWN),
        provider: name(provider, NONE),
    }
}

fn taken(record: &CallRecord<'_>) -> UsageSums {
    let usage = record.tokens.map(|tokens| tokens.usage).unwrap_or_default();
    UsageSums {
        requests: 1,
        errors: (record.status >= 400).into(),
        estimated: record.tokens.is_some_and(|tokens| tokens.is_estimated).into(),
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        cached_tokens: usage.cached,
        cost: NanoUsd(record.cost_nano_usd),
    }
}

#[cfg(test)]
pub(super) mod tests;
