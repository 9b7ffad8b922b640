//! Budgets, their windows, and the book of what is spent.

use super::*;
use crate::DenialCause;

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;

fn day(number: i64) -> BudgetWindow {
    BudgetPeriod::Day.window(Timestamp::from_second(START.as_second() + number * 86_400).unwrap())
}

fn spend(key: &str, window: BudgetWindow, amount: u64) -> Spend {
    Spend { account: key.into(), window, amount: NanoUsd(amount) }
}

fn sorted(mut spends: Vec<Spend>) -> Vec<Spend> {
    spends.sort();
    spends
}

/// How much is left for a call, by asking.
fn left(bench: &Bench, key: &str, limits: &Arc<Limits>, micros: u64) -> u64 {
    let mut left = 0;
    while let Ok(reservation) = bench.paid(key, limits, left + 1, micros) {
        left += 1;
        bench.settle(reservation, 0, micros);
    }
    left
}

#[test]
fn a_call_that_is_under_way_at_midnight_counts_for_the_day_before() {
    let bench = Bench::new();
    let limits = budget(10, BudgetPeriod::Day);
    let call = bench.paid("key", &limits, 10, 0).unwrap();
    assert_eq!(call.taken().window, Some(day(0)));
    assert_eq!(left(&bench, "key", &limits, 10 * SECOND), 10);
    bench.settle(call, 7, 11 * SECOND);
    let next = bench.paid("key", &limits, 4, 11 * SECOND).unwrap();
    bench.settle(next, 3, 11 * SECOND);
    assert_eq!(left(&bench, "key", &limits, 11 * SECOND), 7);
    assert_eq!(sorted(bench.store.take_unrecorded()), [spend("key", day(0), 7), spend("key", day(1), 3)]);
    assert!(bench.store.take_unrecorded().is_empty());
    assert_eq!(left(&bench, "key", &limits, 11 * SECOND), 7, "it is spent while it is being recorded");
}

#[test]
fn past_days_are_kept_until_they_are_recorded() {
    let bench = Bench::new();
    let limits = budget(10, BudgetPeriod::Day);
    for number in 0..3 {
        let call = bench.paid("key", &limits, 1, number * DAY).unwrap();
        bench.settle(call, 1, number * DAY);
    }
    bench.store.sweep(bench.at(9 * DAY));
    let taken = sorted(bench.store.take_unrecorded());
    assert_eq!(taken, [spend("key", day(0), 1), spend("key", day(1), 1), spend("key", day(2), 1)]);
    bench.store.put_back(taken[..2].to_vec());
    bench.store.note_totals(&taken[2..]);
    bench.store.sweep(bench.at(9 * DAY));
    assert_eq!(sorted(bench.store.take_unrecorded()), taken[..2]);
}

#[test]
fn what_is_never_recorded_does_not_pile_up() {
    let bench = Bench::new();
    let limits = budget(10, BudgetPeriod::Day);
    for number in 0..100 {
        let call = bench.paid("key", &limits, 1, number * DAY).unwrap();
        bench.settle(call, 1, number * DAY);
    }
    bench.store.sweep(bench.at(99 * DAY));
    let taken = sorted(bench.store.take_unrecorded());
    assert_eq!(taken.len(), 32);
    assert_eq!(taken.last(), Some(&spend("key", day(99), 1)), "the latest are kept");
}

#[test]
fn totals_of_all_nodes_count() {
    let bench = Bench::new();
    let limits = budget(100, BudgetPeriod::Day);
    bench.store.note_totals(&[spend("key", day(0), 40), spend("key", day(-1), 99)]);
    assert_eq!(left(&bench, "key", &limits, 0), 60, "known before the first call");
    let call = bench.paid("key", &limits, 30, 0).unwrap();
    bench.settle(call, 25, 0);
    let call = bench.paid("key", &limits, 20, 0).unwrap();
    assert_eq!(left(&bench, "key", &limits, 0), 15);
    let taken = bench.store.take_unrecorded();
    assert_eq!(taken, [spend("key", day(0), 25)]);
    bench.settle(call, 20, 0);
    // Others spent 5 meanwhile: 40, 25 and those are recorded; the last 20 are not.
    bench.store.note_totals(&[spend("key", day(0), 70)]);
    assert_eq!(left(&bench, "key", &limits, 0), 10);
    assert_eq!(bench.store.spent("key", day(0)), NanoUsd(90));
    assert_eq!(bench.store.take_unrecorded(), [spend("key", day(0), 20)]);
    assert_eq!(left(&bench, "key", &limits, 0), 10);
}

#[test]
fn what_could_not_be_recorded_is_taken_again() {
    let bench = Bench::new();
    let limits = budget(100, BudgetPeriod::Total);
    for key in ["a", "b"] {
        let call = bench.paid(key, &limits, 10, 0).unwrap();
        bench.settle(call, 10, 0);
    }
    let taken = bench.store.take_unrecorded();
    assert_eq!(taken.len(), 2);
    let call = bench.paid("a", &limits, 1, 0).unwrap();
    bench.settle(call, 1, 0);
    bench.store.put_back(taken);
    assert_eq!((left(&bench, "a", &limits, 0), left(&bench, "b", &limits, 0)), (89, 90));
    let window = BudgetPeriod::Total.window(START);
    assert_eq!(sorted(bench.store.take_unrecorded()), [spend("a", window, 11), spend("b", window, 10)]);
}

#[test]
fn a_total_may_be_set_back() {
    let bench = Bench::new();
    let limits = budget(100, BudgetPeriod::Month);
    let window = BudgetPeriod::Month.window(START);
    bench.store.note_totals(&[spend("key", window, 100)]);
    let denial = bench.paid("key", &limits, 0, 0).unwrap_err();
    assert_eq!((denial.cause, denial.retry_after), (DenialCause::Budget, Some(Duration::from_secs(10))));
    bench.store.note_totals(&[spend("key", window, 0)]);
    assert_eq!(left(&bench, "key", &limits, 0), 100);
}

#[test]
fn another_amount_is_of_the_same_money_and_another_period_is_not() {
    let bench = Bench::new();
    let call = bench.paid("key", &budget(100, BudgetPeriod::Day), 60, 0).unwrap();
    bench.settle(call, 60, 0);
    assert_eq!(left(&bench, "key", &budget(80, BudgetPeriod::Day), 0), 20);
    assert_eq!(left(&bench, "key", &budget(50, BudgetPeriod::Day), 0), 0);
    assert_eq!(left(&bench, "key", &budget(80, BudgetPeriod::Month), 0), 80);
    bench.store.note_totals(&bench.store.take_unrecorded());
    assert_eq!(left(&bench, "key", &budget(80, BudgetPeriod::Day), 0), 20, "the day is still the same");
}

#[test]
fn a_clock_that_is_set_back_finds_the_old_window() {
    let bench = Bench::new();
    let limits = budget(100, BudgetPeriod::Day);
    for (micros, cost) in [(0, 60), (10 * SECOND, 30)] {
        let call = bench.paid("key", &limits, cost, micros).unwrap();
        bench.settle(call, cost, micros);
    }
    assert_eq!((left(&bench, "key", &limits, 0), left(&bench, "key", &limits, 10 * SECOND)), (40, 70));
}

#[test]
fn a_call_without_a_budget_leaves_no_trace_in_the_book() {
    let bench = Bench::new();
    let limits = limits(&RateLimit { max_concurrent: Some(1), ..RateLimit::default() }, None);
    let call = bench.paid("key", &limits, 5, 0).unwrap();
    assert_eq!(call.taken().window, None);
    bench.settle(call, 5, 0);
    assert!(bench.store.take_unrecorded().is_empty());
}

#[test]
fn more_money_than_can_be_said_is_all_of_it() {
    let bench = Bench::new();
    let limits = budget(u64::MAX, BudgetPeriod::Total);
    let call = bench.paid("key", &limits, u64::MAX, 0).unwrap();
    bench.settle(call, u64::MAX, 0);
    bench.store.note_totals(&[spend("key", BudgetPeriod::Total.window(START), 5)]);
    assert!(bench.paid("key", &limits, 0, 0).is_err());
}

#[test]
fn what_was_spent_elsewhere_is_not_taken_for_what_is_being_recorded() {
    let bench = Bench::new();
    let limits = budget(10, BudgetPeriod::Day);
    let call = bench.paid("key", &limits, 4, 0).unwrap();
    bench.settle(call, 4, 0);
    assert_eq!(bench.store.take_unrecorded(), [spend("key", day(0), 4)]);
    bench.store.spend(&"key".into(), day(0), NanoUsd(3));
    assert_eq!(left(&bench, "key", &limits, 0), 3, "both are spent");
    bench.store.note_totals(&[spend("key", day(0), 4)]);
    assert_eq!(left(&bench, "key", &limits, 0), 3);
    assert_eq!(bench.store.take_unrecorded(), [spend("key", day(0), 3)]);
}
