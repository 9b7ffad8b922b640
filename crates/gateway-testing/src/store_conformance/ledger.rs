//! What was spent and used is kept.

use gateway_ratelimit::{BudgetPeriod, BudgetWindow, NanoUsd, Spend};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Subject, done, insert, key};

const DAY: i64 = 24 * 60 * 60;
/// The first of October 2024.
const OCTOBER: i64 = 19_997 * DAY;

fn spent(account: &str, period: BudgetPeriod, start: i64, amount: u64) -> Spend {
    let start = Timestamp::from_second(start).unwrap_or_default();
    Spend { account: account.into(), window: BudgetWindow { period, start }, amount: NanoUsd(amount) }
}

fn sorted(mut entries: Vec<Spend>) -> Vec<Spend> {
    entries.sort();
    entries
}

pub(super) async fn adds_what_was_spent(subject: &impl Subject) {
    let backend = subject.backend();
    let day = |number: i64, amount| spent("a", BudgetPeriod::Day, OCTOBER + number * DAY, amount);
    let month = |amount| spent("a", BudgetPeriod::Month, OCTOBER, amount);
    let total = |amount| spent("b", BudgetPeriod::Total, 0, amount);
    assert_eq!(done(backend.spend(&[]).await), []);
    let first = done(backend.spend(&[total(7), day(0, 5), month(1)]).await);
    assert_eq!(sorted(first), [day(0, 5), month(1), total(7)], "a day and a month that begin together are two windows");
    let second = done(backend.spend(&[day(1, 1), day(0, 2), day(0, 3)]).await);
    assert_eq!(sorted(second), [day(0, 10), day(1, 1)], "the sums of what was spent on, and of nothing else");

    let totals = async |at: &Spend| sorted(done(backend.totals(at.window.start).await));
    assert_eq!(totals(&day(0, 0)).await, [day(0, 10), day(1, 1), month(1), total(7)]);
    assert_eq!(
        totals(&day(1, 0)).await,
        [day(1, 1), month(1), total(7)],
        "a day that is over is left out, its month is not"
    );
    assert_eq!(totals(&day(31, 0)).await, [total(7)], "what is for good is never over");

    // Much later, windows that nobody asks about any more are forgotten.
    done(backend.spend(&[day(500, 1)]).await);
    assert_eq!(totals(&day(0, 0)).await, [day(500, 1), total(7)]);
}

pub(super) async fn adds_what_many_have_spent(subject: &impl Subject) {
    let mut nodes = JoinSet::new();
    for node in 0..8 {
        let backend = subject.backend();
        nodes.spawn(async move {
            let accounts = ["a", "b", "c"].map(|account| spent(account, BudgetPeriod::Total, 0, 1));
            for round in 0..5 {
                // Each in an order of its own.
                let mut entries = accounts.to_vec();
                entries.rotate_left((node + round) % 3);
                assert_eq!(done(backend.spend(&entries).await).len(), 3);
            }
        });
    }
    nodes.join_all().await;
    let totals = sorted(done(subject.backend().totals(Timestamp::UNIX_EPOCH).await));
    assert_eq!(totals, ["a", "b", "c"].map(|account| spent(account, BudgetPeriod::Total, 0, 40)));
}

pub(super) async fn holds_any_amount(subject: &impl Subject) {
    let backend = subject.backend();
    let most = i64::MAX.unsigned_abs();
    for amount in [u64::MAX, 1, u64::MAX] {
        let totals = done(backend.spend(&[spent("a", BudgetPeriod::Total, 0, amount)]).await);
        assert_eq!(totals, [spent("a", BudgetPeriod::Total, 0, most)], "as much as can be said");
    }
}

pub(super) async fn notes_use_and_changes_nothing_else(subject: &impl Subject) {
    let backend = subject.backend();
    insert(&*backend, "a").await;
    let version = insert(&*backend, "b").await;
    let at = |second| Timestamp::constant(1_700_000_000 + second, 250_000_000);
    let touch = async |used: &[(&str, i64)]| {
        let used: Vec<_> = used.iter().map(|(id, second)| ((*id).into(), at(*second))).collect();
        done(backend.touch(&used).await);
    };
    touch(&[]).await;
    touch(&[("b", 5), ("unknown", 5)]).await;
    touch(&[("a", 7), ("b", 3), ("a", 6)]).await;
    let (a, b) = (key(&*backend, "a").await, key(&*backend, "b").await);
    assert_eq!((a.last_used_at, b.last_used_at), (Some(at(7)), Some(at(5))), "never an earlier time than is noted");
    assert_eq!((a.revision, a.updated_at), (1, a.created_at));
    assert_eq!(done(backend.changes(None).await).position.version, version, "to be used is no change");
}
