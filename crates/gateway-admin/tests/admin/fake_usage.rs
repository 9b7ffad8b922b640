//! Usage in memory that keeps the contract of [`UsageLedger`].

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gateway_keystore::{
    StoreError, StoreFuture, UsageBatch, UsageFlush, UsageGroup, UsageLedger, UsagePage, UsageQuery, UsageSlot,
    UsageSpan, UsageSums,
};
use gateway_ratelimit::NanoUsd;
use jiff::Timestamp;
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct FakeUsage {
    rows: Mutex<BTreeMap<UsageSlot, UsageSums>>,
    /// What is written when somebody asks for it.
    unwritten: Mutex<Vec<(UsageSlot, UsageSums)>>,
    pub(crate) is_down: AtomicBool,
    /// Others are asking.
    pub(crate) is_busy: AtomicBool,
    pub(crate) flushes: AtomicUsize,
}

impl FakeUsage {
    /// Counts calls of a hundred tokens and a tenth of a dollar each, half of which fail.
    pub(crate) fn count(&self, hour: &str, [key, model, provider]: [&str; 3], requests: u64) {
        let slot =
            UsageSlot { hour: hour.parse().unwrap(), key: key.into(), model: model.into(), provider: provider.into() };
        let sums = UsageSums {
            requests,
            errors: requests / 2,
            estimated: 1,
            prompt_tokens: 70 * requests,
            completion_tokens: 30 * requests,
            cached_tokens: requests,
            cost: NanoUsd(100_000_000 * requests),
        };
        self.unwritten.lock().push((slot, sums));
    }
}

impl UsageFlush for FakeUsage {
    fn flush(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            self.flushes.fetch_add(1, Ordering::Relaxed);
            if self.is_down.load(Ordering::Relaxed) {
                return false;
            }
            for (slot, more) in std::mem::take(&mut *self.unwritten.lock()) {
                *self.rows.lock().entry(slot).or_default() += more;
            }
            true
        })
    }
}

impl UsageLedger for FakeUsage {
    fn add_usage<'a>(&'a self, _: &'a UsageBatch) -> StoreFuture<'a, ()> {
        unimplemented!("the admin API writes no usage")
    }

    fn usage<'a>(&'a self, query: &'a UsageQuery) -> StoreFuture<'a, UsagePage> {
        Box::pin(async move {
            if self.is_down.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable { source: "secret-host:5432 refused".into() });
            }
            if self.is_busy.load(Ordering::Relaxed) {
                return Err(StoreError::Busy);
            }
            let mut groups = BTreeMap::<UsageGroup, UsageSums>::new();
            let mut totals = UsageSums::default();
            for (slot, sums) in self.rows.lock().iter().filter(|(slot, _)| query.hours.contains(&slot.hour)) {
                *groups.entry(group(slot, query)).or_default() += *sums;
                totals += *sums;
            }
            let behind = groups.into_iter().filter(|(group, _)| query.after.as_ref().is_none_or(|after| group > after));
            Ok(UsagePage {
                groups: behind.take(query.limit as usize).collect(),
                totals: query.after.is_none().then_some(totals),
            })
        })
    }

    fn forget_usage(&self, _: Timestamp) -> StoreFuture<'_, ()> {
        unimplemented!("the admin API forgets no usage")
    }
}

fn group(slot: &UsageSlot, query: &UsageQuery) -> UsageGroup {
    let second = slot.hour.as_second();
    let start = query.grouping.span.map(|span| match span {
        UsageSpan::Hour => second,
        UsageSpan::Day => second - second % (24 * 60 * 60),
    });
    UsageGroup {
        start: start.map(|second| Timestamp::from_second(second).unwrap()),
        key: query.grouping.key.then(|| slot.key.clone()),
        model: query.grouping.model.then(|| slot.model.clone()),
        provider: query.grouping.provider.then(|| slot.provider.clone()),
    }
}
