use std::time::Duration;

use gateway_ratelimit::{BudgetPeriod, Quota};
use jiff::Timestamp;

use super::*;

fn ledger() -> (Ledger, Arc<str>) {
    (Ledger::new(), Arc::from("a"))
}

fn tokens(taken: u64, used: u64) -> EndedTokens {
    EndedTokens { quota: Quota::tokens(60, Duration::from_mins(1)).unwrap(), taken, used }
}

fn ending() -> Ending {
    Ending { was_admitted_by_redis: true, window: None, cost: 0, spent: 0, tokens: None, at: None }
}

fn day(number: i64) -> BudgetWindow {
    BudgetPeriod::Day.window(Timestamp::from_second(number * 24 * 3600).unwrap())
}

fn is_empty(ledger: &Ledger) -> bool {
    ledger.shards.iter().all(|shard| shard.lock().entries.is_empty() && shard.lock().unsent.is_empty())
}

/// The one report that is due, which then counts as heard.
fn told(ledger: &Ledger) -> Report {
    let batch = ledger.due(9);
    let [(_, report)] = batch.reports() else { panic!("{batch:?}") };
    let report = *report;
    let heard = vec![7; batch.reports().len()];
    batch.confirm(heard);
    report
}

#[test]
fn an_account_is_remembered_until_all_is_said() {
    let (ledger, key) = ledger();
    ledger.ask(&key, 0, None).resolve(Resolution::Admitted, 0);
    assert_eq!(ledger.admitted_by_redis(&key), 1);
    assert!(ledger.due(9).reports().is_empty());
    ledger.end(&key, Ending { tokens: Some(tokens(30, 10)), ..ending() });
    ledger.end(&key, Ending { tokens: Some(tokens(30, 40)), ..ending() });
    let report = told(&ledger);
    assert_eq!((report.in_flight, report.totals.ended), (0, 2));
    assert_eq!((report.totals.given_back, report.totals.owed), (20, 10));
    assert!(is_empty(&ledger));
}

#[test]
fn a_refused_call_leaves_nothing() {
    let (ledger, key) = ledger();
    ledger.ask(&key, 5, Some(day(1))).resolve(Resolution::Denied, 0);
    assert!(is_empty(&ledger));
}

#[test]
fn a_question_without_answer_is_followed_by_a_report() {
    let (ledger, key) = ledger();
    let first = ledger.ask(&key, 5, Some(day(1)));
    assert_eq!(first.report().awaited, 0, "the question itself is not yet awaited when Redis hears of it");
    let second = ledger.ask(&key, 6, Some(day(1)));
    assert_eq!((second.report().awaited, second.report().money.unwrap().awaited), (1, 5));
    drop((first, second));
    let report = told(&ledger);
    assert_eq!((report.in_flight, report.awaited), (0, 0));
    assert!(is_empty(&ledger));
}

#[test]
fn reports_that_did_not_arrive_are_due_again_with_what_has_come_since() {
    let (ledger, key) = ledger();
    ledger.admit_alone(&key, 0, None);
    ledger.admit_alone(&key, 0, None);
    ledger.end(&key, Ending { was_admitted_by_redis: false, ..ending() });
    let lost = ledger.due(9);
    ledger.end(&key, Ending { was_admitted_by_redis: false, ..ending() });
    drop(lost);
    let report = told(&ledger);
    assert_eq!((report.totals.ended, report.confirmed.ended), (2, 0));
    assert!(is_empty(&ledger));
}

#[test]
fn a_question_says_what_a_report_would_have() {
    let (ledger, key) = ledger();
    ledger.ask(&key, 0, None).resolve(Resolution::Admitted, 0);
    ledger.ask(&key, 0, None).resolve(Resolution::Admitted, 0);
    ledger.end(&key, ending());
    let question = ledger.ask(&key, 0, None);
    assert_eq!((question.report().in_flight, question.report().totals.ended), (1, 1));
    question.resolve(Resolution::Denied, 0);
    assert!(ledger.due(9).reports().is_empty());
    ledger.repeat_all();
    assert_eq!(told(&ledger).confirmed.ended, 1);
}

#[test]
fn money_belongs_to_the_window_that_it_was_taken_in() {
    let (ledger, key) = ledger();
    ledger.ask(&key, 5, Some(day(1))).resolve(Resolution::Admitted, 0);
    ledger.ask(&key, 7, Some(day(2))).resolve(Resolution::Admitted, 0);
    let late = ledger.ask(&key, 1, Some(day(1)));
    assert_eq!(late.window(), Some(day(2)), "a clock that is behind does not open yesterday again");
    assert_eq!(late.report().money.unwrap().reserved, 7);
    late.resolve(Resolution::Denied, 0);
    ledger.end(&key, Ending { window: Some(day(1)), cost: 5, spent: 4, ..ending() });
    ledger.end(&key, Ending { window: Some(day(2)), cost: 7, spent: 6, ..ending() });
    let report = told(&ledger);
    assert_eq!((report.totals.released, report.totals.spent, report.totals.ended), (7, 6, 2));
    assert_eq!(report.money.unwrap().reserved, 0);
    ledger.sweep(day(2).start);
    assert!(!is_empty(&ledger), "a Redis that comes back empty has to be told what was spent today");
    ledger.repeat_all();
    let again = told(&ledger);
    assert_eq!((again.totals.spent, again.confirmed.spent, again.money.unwrap().epoch), (6, 6, 7));
    ledger.sweep(day(3).start);
    assert!(is_empty(&ledger));
}

#[test]
fn counters_wrap_where_the_script_expects_it() {
    let (ledger, key) = ledger();
    ledger.admit_alone(&key, 0, None);
    for _ in 0..3 {
        ledger.end(&key, Ending { tokens: Some(tokens(0, u64::MAX)), ..ending() });
    }
    assert_eq!(told(&ledger).totals.owed, 1 << 51);
}

#[test]
fn no_more_is_due_at_once_than_is_asked_for() {
    let ledger = Ledger::new();
    for number in 0..10 {
        let key = Arc::from(number.to_string());
        ledger.admit_alone(&key, 0, None);
        ledger.end(&key, ending());
    }
    let first = ledger.due(6);
    let second = ledger.due(6);
    assert_eq!((first.reports().len(), second.reports().len()), (6, 4));
}
