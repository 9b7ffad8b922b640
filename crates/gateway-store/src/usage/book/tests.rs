//! Nothing is lost and nothing is counted twice, whenever somebody takes what was counted.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use gateway_call::{AttemptRecord, Endpoint, Outcome, RequestId, Tokens, Usage};
use proptest::prelude::*;

use super::*;
use crate::usage::others::MOST_HOURS;

/// What a call is counted by.
#[derive(Debug, Clone, Default)]
pub(in crate::usage) struct Sample {
    pub(in crate::usage) minute: i64,
    pub(in crate::usage) key: Option<u8>,
    pub(in crate::usage) model: Option<u8>,
    pub(in crate::usage) provider: Option<u8>,
    pub(in crate::usage) status: u16,
    pub(in crate::usage) usage: Option<(Usage, bool)>,
    pub(in crate::usage) cost: u64,
}

/// 2026-11-22T14:00:00Z.
const START: i64 = 1_795_356_000;

fn attempt(provider: &str, outcome: Outcome, status: Option<u16>) -> AttemptRecord {
    AttemptRecord {
        model: "m".into(),
        entry: None,
        provider: provider.into(),
        provider_type: "openai".into(),
        upstream_model: "m".into(),
        outcome,
        status,
        span: None,
        began: Duration::ZERO,
        head: None,
        elapsed: Duration::ZERO,
    }
}

/// A call that came to nothing but these attempts.
fn record<'a>(request_id: &'a RequestId, attempts: &'a [AttemptRecord]) -> CallRecord<'a> {
    CallRecord {
        request_id,
        trace: None,
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: Some(Endpoint::ChatCompletions),
        key: None,
        model: None,
        entry: None,
        status: 200,
        error: None,
        refused_by: None,
        stream: false,
        attempts,
        answering: None,
        tokens: None,
        cost_nano_usd: 0,
        tags: &[],
        duration: Duration::ZERO,
        first_byte: None,
        overhead: Duration::ZERO,
        bytes_out: 0,
    }
}

fn opened() -> UsageBook {
    let book = UsageBook::default();
    book.open();
    book
}

/// How many sums it holds.
fn size(book: &UsageBook) -> usize {
    book.shards.iter().map(|shard| shard.0.lock().len()).sum::<usize>() + book.others.lock().len()
}

fn name(kind: &str, number: u8) -> String {
    format!("{kind} {number}")
}

impl Sample {
    pub(in crate::usage) fn count(&self, book: &UsageBook) {
        let label = |kind: &str, number: Option<u8>| number.map(|number| Label::of(&name(kind, number)));
        let (key, entry, provider) =
            (label("key", self.key), label("model", self.model), label("provider", self.provider));
        let attempts: Vec<_> =
            provider.iter().map(|provider| attempt(provider, Outcome::Success, Some(self.status))).collect();
        let request_id = RequestId::from_random(1);
        let record = CallRecord {
            key: key.as_ref(),
            entry: entry.as_ref(),
            status: self.status,
            tokens: self.usage.map(|(usage, is_estimated)| Tokens { usage, is_estimated }),
            cost_nano_usd: self.cost,
            ..record(&request_id, &attempts)
        };
        book.count(&record, Timestamp::from_second(START + self.minute * 60).unwrap());
    }

    /// The row that it belongs to, by another way.
    pub(in crate::usage) fn row(&self) -> (UsageSlot, UsageSums) {
        let named = |kind: &str, number: Option<u8>, without: &str| {
            number.map_or(without.to_owned(), |number| name(kind, number)).into()
        };
        let slot = UsageSlot {
            hour: Timestamp::from_second(START + self.minute / 60 * 3600).unwrap(),
            key: named("key", self.key, "unknown"),
            model: named("model", self.model, "unknown"),
            provider: named("provider", self.provider, "none"),
        };
        let (usage, is_estimated) = self.usage.unwrap_or_default();
        let sums = UsageSums {
            requests: 1,
            errors: u64::from(self.status >= 400),
            estimated: u64::from(is_estimated),
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            cached_tokens: usage.cached,
            cost: NanoUsd(self.cost),
        };
        (slot, sums)
    }
}

pub(in crate::usage) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let some = || proptest::option::of(0..3_u8);
    let tokens = || 0..u64::MAX / 1000;
    let usage = (tokens(), tokens(), tokens(), any::<bool>());
    let usage = usage.prop_map(|(prompt, completion, cached, is)| (Usage { prompt, completion, cached }, is));
    let statuses = prop_oneof![Just(200), Just(399), Just(400), Just(429), Just(499), Just(503)];
    let sample = (0..180_i64, some(), some(), some(), statuses, proptest::option::of(usage), tokens());
    let sample = sample.prop_map(|(minute, key, model, provider, status, usage, cost)| Sample {
        minute,
        key,
        model,
        provider,
        status,
        usage,
        cost,
    });
    proptest::collection::vec(sample, 0..60)
}

/// Rows of which those of one slot are one.
pub(in crate::usage) fn summed(
    rows: impl IntoIterator<Item = (UsageSlot, UsageSums)>,
) -> BTreeMap<UsageSlot, UsageSums> {
    let mut sums = BTreeMap::<_, UsageSums>::new();
    for (slot, more) in rows {
        *sums.entry(slot).or_default() += more;
    }
    sums
}

proptest! {
    #[test]
    fn what_is_taken_is_what_was_counted(rounds in proptest::collection::vec(samples(), 1..6)) {
        let book = opened();
        let mut taken = Vec::new();
        for round in &rounds {
            for sample in round {
                sample.count(&book);
            }
            let rows = book.take();
            prop_assert_eq!(rows.len(), summed(rows.clone()).len(), "each combination once");
            prop_assert_eq!(summed(rows.clone()), summed(round.iter().map(Sample::row)));
            prop_assert!(rows.iter().all(|(_, sums)| !sums.is_empty()));
            taken.extend(rows);
        }
        prop_assert_eq!(summed(taken), summed(rounds.iter().flatten().map(Sample::row)));
        prop_assert!(book.take().is_empty());
        prop_assert_eq!(size(&book), 0, "what is not used is forgotten");
    }
}

#[test]
fn threads_that_count_and_one_that_takes_agree() {
    const EACH: u64 = 20_000;
    let book = opened();
    let mut requests = 0;
    let mut take = || requests += book.take().iter().map(|(_, sums)| sums.requests).sum::<u64>();
    thread::scope(|scope| {
        let counting: Vec<_> = (0..4)
            .map(|key| {
                let book = &book;
                let sample = Sample { key: Some(key % 2), ..Sample::default() };
                scope.spawn(move || (0..EACH).for_each(|_| sample.count(book)))
            })
            .collect();
        while !counting.iter().all(thread::ScopedJoinHandle::is_finished) {
            take();
        }
    });
    take();
    assert_eq!(requests, 4 * EACH);
}

#[test]
fn the_book_is_bounded_for_ever_and_its_totals_are_right() {
    let book = opened();
    let room = i64::try_from(MOST_ENTRIES).unwrap();
    let hours = room + 2 * i64::try_from(MOST_HOURS).unwrap();
    for hour in 0..hours {
        Sample { minute: hour * 60, key: Some(1), ..Sample::default() }.count(&book);
        if hour >= room {
            assert!(size(&book) <= MOST_ENTRIES + MOST_HOURS, "{} in hour {hour}", size(&book));
        }
    }
    assert_eq!(size(&book), MOST_ENTRIES + MOST_HOURS, "or else no bound is reached");
    let rows = book.take();
    let (others, named): (Vec<_>, Vec<_>) = rows.iter().partition(|(slot, _)| &*slot.key == "other");
    assert_eq!((named.len(), others.len()), (MOST_ENTRIES, MOST_HOURS));
    assert!(others.iter().all(|(slot, _)| (&*slot.model, &*slot.provider) == ("other", "other")));
    assert_eq!(rows.iter().map(|(_, sums)| sums.requests).sum::<u64>(), hours.cast_unsigned());
    Sample::default().count(&book);
    assert_eq!(book.take(), [Sample::default().row()], "there is room again");
}

#[test]
fn nothing_is_counted_unless_somebody_takes_it() {
    let book = UsageBook::default();
    Sample::default().count(&book);
    assert_eq!(size(&book), 0);
    book.open();
    Sample::default().count(&book);
    assert_eq!(size(&book), 1);
    book.close();
    Sample { minute: 60, ..Sample::default() }.count(&book);
    assert_eq!(book.take(), [Sample::default().row()]);
}

#[test]
fn threads_do_not_count_calls_of_one_kind_in_one_place() {
    let book = opened();
    thread::scope(|scope| {
        for _ in 0..2 * SHARDS {
            scope.spawn(|| (0..100).for_each(|_| Sample::default().count(&book)));
        }
    });
    let used = book.shards.iter().filter(|shard| !shard.0.lock().is_empty()).count();
    // Other tests have threads as well, so that some of these may share a shard.
    assert!(used > SHARDS / 2, "{used}");
    let (slot, sums) = Sample::default().row();
    let requests = 2 * SHARDS as u64 * 100;
    assert_eq!(book.take(), [(slot, UsageSums { requests, errors: sums.errors * requests, ..sums })]);
}

#[test]
fn a_call_counts_for_the_provider_whose_answer_its_caller_got() {
    let attempts = [attempt("won", Outcome::Success, Some(200)), attempt("lost", Outcome::Cancelled, None)];
    for (answering, expected) in [(Some(0), "won"), (None, "lost")] {
        let book = opened();
        let request_id = RequestId::from_random(1);
        book.count(&CallRecord { answering, ..record(&request_id, &attempts) }, Timestamp::UNIX_EPOCH);
        let rows = book.take();
        assert_eq!(rows.iter().map(|(slot, _)| &*slot.provider).collect::<Vec<_>>(), [expected]);
    }
}
