//! Sums in memory, which calls add to.
//!
//! Threads that count do not wait for each other, however many calls are of one key and one model: each has a shard that it
//! shares with few others, if any, and what the shards have is added up by whoever takes it. A call looks its sums up by the
//! numbers of its labels, under the lock of its thread's shard, for as long as it takes to add seven numbers.
//!
//! To take what was counted is to put another map in the place of a shard's, with room for as many combinations as that one
//! has. So nobody waits for that either, and calls of the combinations of the seconds before find room without allocating. What
//! a shard knows of a combination is its labels, held only until it is taken, and so a name that the configuration has let go
//! of is gone soon after.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gateway_call::{CallRecord, Event, Label, Observer};
use gateway_keystore::{UsageSlot, UsageSums};
use gateway_ratelimit::NanoUsd;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::others::Others;

/// As many threads count at the same time without ever waiting for each other.
const SHARDS: usize = 16;
/// The most combinations of all shards; one that several shards have counts as several.
const MOST_ENTRIES: usize = 262_144;

/// What the calls of this process took since somebody last came for it.
///
/// Each settled call is counted once, in the hour in which it ended by the system's clock: under the name of its key, the entry
/// of the configuration that its model led to, and the provider of the attempt that it is ascribed to
/// ([`CallRecord::served_by`]). Key and model are [`Label::UNKNOWN`] where they are not known, as of a call that was refused
/// before, and the provider is [`Label::NONE`] where none was tried.
///
/// Nothing is counted before somebody is there to take it ([`crate::UsageWriter::start`]) or afterwards, so a process without a
/// store keeps nothing in memory for one.
///
/// It knows at most 262 144 combinations at a time, where what 16 threads count each by itself is 16. Calls of others are
/// counted as key, model and provider [`Label::OTHER`], so that totals stay right.
#[derive(Debug, Default)]
pub struct UsageBook {
    is_open: AtomicBool,
    shards: [Shard; SHARDS],
    /// How many combinations the shards have, or some more while that changes.
    entries: AtomicUsize,
    others: Mutex<Others>,
    /// Calls that were taken out of it and are not in the store.
    pending: AtomicU64,
}

/// What some threads have counted. It has cache lines of its own: two of 64 bytes, since x86-64 reads them in pairs, or the one
/// of 128 that some processors of Arm have.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Sums>);

/// Sums by the hour and the numbers of key, model and provider.
type Sums = HashMap<[u64; 4], Tally>;

#[derive(Debug)]
struct Tally {
    /// Those of key, model and provider. While they are held, their numbers stand for nothing else.
    labels: [Option<Label>; 3],
    sums: UsageSums,
}

impl Observer for UsageBook {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event {
            self.count(record, Timestamp::now());
        }
    }
}

impl UsageBook {
    /// How many calls there were whose usage the store did not take when that was last tried: none while it takes what it is given.
    /// Those of the last seconds, which nobody has tried to write, are not among them. One atomic read.
    pub fn pending_requests(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Counts calls from now on. Whoever opens it sees to it that what it counts is taken: until then all of it is kept, within
    /// the bounds above.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// Counts no more calls, and keeps what it has.
    pub(super) fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    /// Counts a call that ended at this moment.
    fn count(&self, record: &CallRecord<'_>, ended: Timestamp) {
        if !self.is_open.load(Ordering::Relaxed) {
            return;
        }
        let labels = [record.key, record.entry, record.served_by().map(|attempt| &attempt.provider)];
        let [key, model, provider] = labels.map(|label| label.map_or(u64::MAX, Label::number));
        let hour = UsageSlot::hour_of(ended);
        let numbers = [hour.as_second().cast_unsigned(), key, model, provider];
        let taken = taken(record);
        let mut shard = self.shards[own_shard()].0.lock();
        if let Some(tally) = shard.get_mut(&numbers) {
            tally.sums += taken;
        } else if self.entries.fetch_add(1, Ordering::Relaxed) < MOST_ENTRIES {
            shard.insert(numbers, Tally { labels: labels.map(Option::<&Label>::cloned), sums: taken });
        } else {
            drop(shard);
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.others.lock().add(hour, taken);
        }
    }

    /// Takes what was counted since the last time.
    pub(super) fn take(&self) -> Vec<(UsageSlot, UsageSums)> {
        let mut all = Sums::new();
        for shard in &self.shards {
            let taken = shard.take();
            self.entries.fetch_sub(taken.len(), Ordering::Relaxed);
            if all.is_empty() {
                all = taken;
                continue;
            }
            for (numbers, Tally { labels, sums }) in taken {
                all.entry(numbers).or_insert_with(|| Tally { labels, sums: UsageSums::default() }).sums += sums;
            }
        }
        let mut others = std::mem::take(&mut *self.others.lock());
        all.into_iter().map(row).chain(std::iter::from_fn(|| others.pop())).collect()
    }

    /// Notes how many calls were taken out of it and are not in the store.
    pub(super) fn note_pending(&self, requests: u64) {
        self.pending.store(requests, Ordering::Relaxed);
    }
}

impl Shard {
    fn take(&self) -> Sums {
        let entries = self.0.lock().len();
        let room = Sums::with_capacity(entries);
        std::mem::replace(&mut *self.0.lock(), room)
    }
}

/// The number of the shard in which this thread counts. Threads have them by turns.
fn own_shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    OWN.with(|own| *own)
}

fn row(([hour, ..], Tally { labels: [key, model, provider], sums }): ([u64; 4], Tally)) -> (UsageSlot, UsageSums) {
    let name = |label: Option<Label>, without: &str| Arc::from(label.as_deref().unwrap_or(without));
    let slot = UsageSlot {
        // It was one when it was counted.
        hour: Timestamp::from_second(hour.cast_signed()).unwrap_or(Timestamp::MIN),
        key: name(key, Label::UNKNOWN),
        model: name(model, Label::UNKNOWN),
        provider: name(provider, Label::NONE),
    };
    (slot, sums)
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
