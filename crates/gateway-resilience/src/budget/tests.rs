use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::epoch::any_instant;

fn budget(ratio: f64, min_per_second: f64) -> (RetryBudget, Instant) {
    let start = any_instant();
    (RetryBudget::new(BudgetPolicy { ratio, min_per_second }, start), start)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Takes out as many as there are.
fn drain(budget: &RetryBudget, now: Instant) -> usize {
    (0..10_000).take_while(|_| budget.withdraw(now)).count()
}

#[test]
fn the_default_is_a_fifth_and_ten_a_second() {
    let start = any_instant();
    let budget = RetryBudget::new(BudgetPolicy::default(), start);
    assert_eq!(drain(&budget, start), 100);
    (0..50).for_each(|_| budget.deposit(start));
    assert_eq!(drain(&budget, start), 10);
    assert_eq!(drain(&budget, start + Duration::from_millis(9_999)), 0);
    assert_eq!(drain(&budget, start + seconds(10)), 100);
}

#[test]
fn decimal_shares_are_exact() {
    for percent in 1..=100_u32 {
        let (budget, start) = budget(f64::from(percent) / 100.0, 0.0);
        (0..100).for_each(|_| budget.deposit(start));
        assert_eq!(drain(&budget, start), percent as usize);
    }
}

#[test]
fn nothing_is_granted_out_of_nothing() {
    for (ratio, floor) in [(0.0, 0.0), (1.0, 0.0), (f64::NAN, 0.0), (0.0, f64::NAN), (-1.0, -1.0)] {
        let (budget, start) = budget(ratio, floor);
        assert!(!budget.withdraw(start), "{ratio} {floor}");
    }
    let (budget, start) = budget(0.0, 0.1);
    budget.deposit(start);
    assert_eq!(drain(&budget, start + seconds(3)), 1);
}

#[test]
fn what_was_spent_is_remembered_for_as_long_as_what_it_was_spent_from() {
    let (budget, start) = budget(0.2, 0.0);
    (0..100).for_each(|_| budget.deposit(start));
    assert_eq!(drain(&budget, start + seconds(9)), 20);
    // The deposits are gone, the retries are not: new deposits must first make up for them.
    (0..100).for_each(|_| budget.deposit(start + seconds(12)));
    assert_eq!(drain(&budget, start + seconds(18)), 0);
    assert_eq!(drain(&budget, start + seconds(19)), 20);
}

#[test]
fn threads_together_get_what_one_would() {
    let (budget, start) = budget(0.5, 1.0);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..250).for_each(|_| budget.deposit(start));
                    drain(&budget, start)
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(granted + drain(&budget, start), 510);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Deposit,
    Withdraw,
}

/// Events in runs, with the time that has passed before each run.
fn events(gap: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<(i64, Event)>> {
    let event = prop_oneof![2 => Just(Event::Deposit), 3 => Just(Event::Withdraw)];
    let run = (gap, event, 1_usize..12);
    prop::collection::vec(run, 1..60).prop_map(|runs| {
        let repeat = |(gap, event, times)| (0..times).map(move |at| (if at == 0 { gap } else { 0 }, event));
        runs.into_iter().flat_map(repeat).collect()
    })
}

/// Milliseconds from one run to the next.
fn forward() -> impl Strategy<Value = i64> {
    prop_oneof![0_i64..3_000, Just(0), 0_i64..30_000]
}

/// What happened in each second.
#[derive(Default)]
struct History {
    deposits: BTreeMap<u64, u32>,
    withdrawals: BTreeMap<u64, u32>,
}

impl History {
    fn sum(of: &BTreeMap<u64, u32>, from: u64, to: u64) -> u32 {
        of.range(from..=to).map(|(_, count)| count).sum()
    }

    fn has_room(&self, policy: BudgetPolicy, second: u64) -> bool {
        let from = second.saturating_sub(9);
        let retries = Self::sum(&self.withdrawals, from, second) + 1;
        policy.covers(f64::from(retries), f64::from(Self::sum(&self.deposits, from, second)))
    }
}

fn policy() -> impl Strategy<Value = BudgetPolicy> {
    let ratio = prop_oneof![Just(0.0), Just(0.2), Just(1.0), 0.0..1.0];
    let floor = prop_oneof![Just(0.0), Just(0.1), 0.0..2.0];
    (ratio, floor).prop_map(|(ratio, min_per_second)| BudgetPolicy { ratio, min_per_second })
}

/// The second of a moment that moves by `gap` milliseconds, but not to before the start.
fn pass(millis: &mut i64, gap: i64) -> (Duration, u64) {
    *millis = (*millis + gap).max(0);
    let since = Duration::from_millis(millis.unsigned_abs());
    (since, since.as_secs())
}

proptest! {
    #[test]
    fn a_retry_is_granted_exactly_when_there_is_room(policy in policy(), events in events(forward())) {
        let (start, mut history, mut millis) = (any_instant(), History::default(), 0);
        let budget = RetryBudget::new(policy, start);
        for (gap, event) in events {
            let (since, second) = pass(&mut millis, gap);
            match event {
                Event::Deposit => {
                    budget.deposit(start + since);
                    *history.deposits.entry(second).or_default() += 1;
                }
                Event::Withdraw => {
                    let is_granted = budget.withdraw(start + since);
                    prop_assert_eq!(is_granted, history.has_room(policy, second), "at {:?}", since);
                    *history.withdrawals.entry(second).or_default() += u32::from(is_granted);
                }
            }
        }
        // Over all of the time: cut it, from its end, into stretches of ten seconds that end with a retry.
        let (mut granted, mut stretches) = (0.0, 0.0);
        let mut rest = history.withdrawals.clone();
        rest.retain(|_, count| *count > 0);
        while let Some((&last, _)) = rest.last_key_value() {
            granted += f64::from(History::sum(&rest, last.saturating_sub(9), last));
            stretches += 1.0;
            rest = last.checked_sub(10).map(|end| rest.range(..=end).map(|(k, v)| (*k, *v)).collect()).unwrap_or_default();
        }
        let calls = f64::from(History::sum(&history.deposits, 0, u64::MAX));
        prop_assert!(granted <= policy.ratio * calls + stretches * policy.min_per_second * 10.0 + 1e-6);
    }

    #[test]
    fn moments_out_of_order_grant_no_more(policy in policy(), events in events(-4_000_i64..5_000)) {
        let (start, mut history, mut millis, mut latest) = (any_instant(), History::default(), 0, 0);
        let budget = RetryBudget::new(policy, start);
        for (gap, event) in events {
            let (since, second) = pass(&mut millis, gap);
            match event {
                Event::Deposit => {
                    budget.deposit(start + since);
                    *history.deposits.entry(second).or_default() += 1;
                }
                Event::Withdraw => {
                    // A retry counts for the latest second in which one was asked for.
                    latest = second.max(latest);
                    if budget.withdraw(start + since) {
                        prop_assert!(history.has_room(policy, latest), "at {since:?}");
                        *history.withdrawals.entry(latest).or_default() += 1;
                    }
                }
            }
        }
    }
}

#[test]
fn looking_takes_nothing() {
    let start = any_instant();
    let budget = RetryBudget::new(BudgetPolicy { ratio: 0.0, min_per_second: 0.1 }, start);
    assert!(budget.has_room(start));
    assert!(budget.has_room(start), "it is still there");
    assert!(budget.withdraw(start));
    assert!(!budget.has_room(start) && !budget.withdraw(start));
    assert!(budget.has_room(start + Duration::from_secs(10)));
}
