//! What calls took is added up, by whoever writes, and told by hour, key, model and provider.

use gateway_keystore::{
    UsageBatch, UsageGroup, UsageGrouping, UsageLedger, UsagePage, UsageQuery, UsageSlot, UsageSpan, UsageSums,
};
use gateway_ratelimit::NanoUsd;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Subject, done};

const HOUR: i64 = 60 * 60;
/// The first of October 2024.
const OCTOBER: i64 = 19_997 * 24 * HOUR;
const EVERYTHING: UsageGrouping = UsageGrouping { span: Some(UsageSpan::Hour), key: true, model: true, provider: true };

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(OCTOBER + hour * HOUR).unwrap_or_default()
}

fn slot(hour: i64, key: &str, model: &str, provider: &str) -> UsageSlot {
    UsageSlot { hour: at(hour), key: key.into(), model: model.into(), provider: provider.into() }
}

/// Sums that differ in every number.
fn sums(requests: u64) -> UsageSums {
    UsageSums {
        requests,
        errors: requests + 1,
        estimated: requests + 2,
        prompt_tokens: requests + 3,
        completion_tokens: requests + 4,
        cached_tokens: requests + 5,
        cost: NanoUsd(requests + 6),
    }
}

fn total(all: impl IntoIterator<Item = UsageSums>) -> UsageSums {
    all.into_iter().fold(UsageSums::default(), |mut total, sums| {
        total += sums;
        total
    })
}

fn batch(writer: &str, number: i64, rows: &[(UsageSlot, UsageSums)]) -> UsageBatch {
    UsageBatch { writer: writer.into(), number, at: at(0), rows: rows.to_vec() }
}

fn query(grouping: UsageGrouping) -> UsageQuery {
    UsageQuery { hours: at(0)..at(1000), grouping, after: None, limit: 1000 }
}

async fn ask(backend: &(impl UsageLedger + ?Sized), grouping: UsageGrouping) -> UsagePage {
    done(backend.usage(&query(grouping)).await)
}

/// Of a first part.
fn totals(page: &UsagePage) -> UsageSums {
    page.totals.unwrap_or_else(|| panic!("no totals: {page:?}"))
}

/// The groups as text, and their calls.
fn shown(page: &UsagePage) -> Vec<(String, u64)> {
    let show = |group: &UsageGroup| {
        let hour = group.start.map(|start| ((start.as_second() - OCTOBER) / HOUR).to_string());
        let names = [&group.key, &group.model, &group.provider].map(|name| name.as_deref().map(str::to_owned));
        std::iter::once(hour).chain(names).map(|part| part.unwrap_or("-".to_owned())).collect::<Vec<_>>().join(" ")
    };
    page.groups.iter().map(|(group, sums)| (show(group), sums.requests)).collect()
}

fn expected(groups: &[(&str, u64)]) -> Vec<(String, u64)> {
    groups.iter().map(|(group, requests)| ((*group).to_owned(), *requests)).collect()
}

pub(super) async fn is_added_up_and_told_apart(subject: &impl Subject) {
    let backend = subject.backend();
    assert_eq!(ask(&*backend, EVERYTHING).await, UsagePage { groups: Vec::new(), totals: Some(UsageSums::default()) });
    done(backend.add_usage(&batch("a", 1, &[])).await);
    let rows = [
        (slot(0, "k", "m", "p"), sums(1)),
        (slot(1, "k", "m", "p"), sums(10)),
        (slot(24, "K", "m", "p"), sums(100)),
        (slot(24, "k", "n", "q"), sums(1000)),
        (slot(0, "k", "m", "p"), sums(20)),
    ];
    done(backend.add_usage(&batch("a", 2, &rows)).await);
    done(backend.add_usage(&batch("a", 3, &rows[1..2])).await);
    let page = ask(&*backend, EVERYTHING).await;
    let hours = [("0 k m p", 21), ("1 k m p", 20), ("24 K m p", 100), ("24 k n q", 1000)];
    assert_eq!(shown(&page), expected(&hours), "in order, upper case first, wherever the store is");
    assert_eq!(page.groups[0].1, total([sums(1), sums(20)]), "every number by itself");
    assert_eq!(page.totals, Some(total(page.groups.iter().map(|(_, sums)| *sums))));

    let by = |span, key, model, provider| UsageGrouping { span, key, model, provider };
    for (grouping, groups) in [
        (by(None, false, false, false), &[("- - - -", 1141)][..]),
        (by(Some(UsageSpan::Day), false, false, false), &[("0 - - -", 41), ("24 - - -", 1100)]),
        (
            by(Some(UsageSpan::Hour), true, false, false),
            &[("0 k - -", 21), ("1 k - -", 20), ("24 K - -", 100), ("24 k - -", 1000)],
        ),
        (by(None, true, false, false), &[("- K - -", 100), ("- k - -", 1041)]),
        (by(None, false, true, true), &[("- - m p", 141), ("- - n q", 1000)]),
    ] {
        let found = ask(&*backend, grouping).await;
        assert_eq!(shown(&found), expected(groups), "{grouping:?}");
        assert_eq!(found.totals, page.totals, "{grouping:?}");
    }
    // The first hour is among them, the last is not.
    let part = UsageQuery { hours: at(1)..at(24), ..query(EVERYTHING) };
    let part = done(backend.usage(&part).await);
    assert_eq!((shown(&part), totals(&part).requests), (expected(&[("1 k m p", 20)]), 20));
}

pub(super) async fn is_told_page_by_page(subject: &impl Subject) {
    let backend = subject.backend();
    let names = ["", " ", "a", "b", "é"];
    // Hours of several days, with nothing in between, of which one page may have many and many pages one.
    let rows: Vec<_> = [0, 1, 2, 23, 24, 60, 61, 500]
        .into_iter()
        .flat_map(|hour| names.map(|key| (slot(hour, key, "m", if hour == 1 { "p" } else { "q" }), sums(1))))
        .collect();
    done(backend.add_usage(&batch("a", 1, &rows)).await);
    let by_day = UsageGrouping { span: Some(UsageSpan::Day), ..EVERYTHING };
    let without = UsageGrouping { span: None, ..EVERYTHING };
    for grouping in [
        EVERYTHING,
        UsageGrouping { model: false, ..EVERYTHING },
        UsageGrouping { key: false, ..EVERYTHING },
        by_day,
        UsageGrouping { key: false, provider: false, ..by_day },
        without,
        UsageGrouping { key: false, ..without },
    ] {
        let whole = ask(&*backend, grouping).await;
        for limit in [1, 2, 7] {
            let (mut after, mut found) = (None, Vec::new());
            loop {
                let page = done(backend.usage(&UsageQuery { after, limit, ..query(grouping) }).await);
                assert_eq!(page.totals, whole.totals.filter(|_| found.is_empty()), "of everything, once");
                let Some((last, _)) = page.groups.last() else { break };
                assert!(page.groups.len() <= limit as usize);
                after = Some(last.clone());
                found.extend(page.groups);
            }
            assert_eq!(found, whole.groups, "{grouping:?}, {limit} a page");
        }
    }
}

pub(super) async fn of_many_nodes_adds_up(subject: &impl Subject) {
    const NODES: u64 = 8;
    const ROUNDS: u64 = 5;
    let mut nodes = JoinSet::new();
    for node in 0..NODES {
        let backend = subject.backend();
        nodes.spawn(async move {
            let rows = ["a", "b", "c"].map(|key| (slot(0, key, "m", "p"), sums(node)));
            for round in 0..ROUNDS {
                // Each in an order of its own.
                let mut rows = rows.to_vec();
                rows.rotate_left(usize::try_from((node + round) % 3).unwrap_or_default());
                let number = i64::try_from(round + 1).unwrap_or_default();
                done(backend.add_usage(&batch(&node.to_string(), number, &rows)).await);
            }
        });
    }
    nodes.join_all().await;
    let each = total((0..NODES * ROUNDS).map(|number| sums(number / ROUNDS)));
    let page = ask(&*subject.backend(), EVERYTHING).await;
    assert_eq!(page.groups.iter().map(|(_, sums)| *sums).collect::<Vec<_>>(), [each; 3]);
}

pub(super) async fn is_added_once_however_often_it_is_given(subject: &impl Subject) {
    let backend = subject.backend();
    let rows = [(slot(0, "k", "m", "p"), sums(1))];
    let (first, second) = (batch("a", 1, &rows), batch("a", 2, &rows));
    let mut tries = JoinSet::new();
    for _ in 0..4 {
        let (backend, first) = (subject.backend(), first.clone());
        tries.spawn(async move { done(backend.add_usage(&first).await) });
    }
    tries.join_all().await;
    for given in [&second, &second, &batch("b", 1, &rows)] {
        done(backend.add_usage(given).await);
    }
    assert_eq!(ask(&*backend, EVERYTHING).await.totals, Some(total([sums(1); 3])));
}

/// No name and no number keeps others from being written, or from being read.
pub(super) async fn holds_any_name_and_any_number(subject: &impl Subject) {
    let backend = subject.backend();
    let most = UsageSums { prompt_tokens: u64::MAX, cost: NanoUsd(u64::MAX), ..sums(1) };
    let long = "é".repeat(10_000);
    let names = ["nul\0", "nul\u{fffd}", "'\"\\;--", "\u{1b}[2J", &long, &format!("{long}!")];
    let rows: Vec<_> = names.iter().map(|name| (slot(0, name, name, name), most)).collect();
    for number in 1..=2 {
        done(backend.add_usage(&batch("a", number, &rows)).await);
    }
    let page = ask(&*backend, EVERYTHING).await;
    let keys: Vec<_> = page.groups.iter().filter_map(|(group, _)| group.key.as_deref()).collect();
    let short = "é".repeat(256);
    assert_eq!(keys, ["\u{1b}[2J", "'\"\\;--", "nul\u{fffd}", &short], "what is as long as can be, or odd, is one");
    let largest = i64::MAX.unsigned_abs();
    assert!(page.groups.iter().all(|(_, sums)| sums.prompt_tokens == largest && sums.cost == NanoUsd(largest)));
    assert_eq!(totals(&page).cost, NanoUsd(u64::MAX), "more than a number of the store can say");
    assert_eq!((totals(&page).requests, totals(&page).errors), (12, 24), "the others are as they were");
}

pub(super) async fn is_forgotten_after_a_time(subject: &impl Subject) {
    let backend = subject.backend();
    let rows = [(slot(0, "k", "m", "p"), sums(1)), (slot(1, "k", "m", "p"), sums(2))];
    done(backend.add_usage(&batch("a", 1, &rows)).await);
    done(backend.forget_usage(at(0)).await);
    assert_eq!(ask(&*backend, EVERYTHING).await.groups.len(), 2);
    done(backend.forget_usage(at(1)).await);
    assert_eq!(shown(&ask(&*backend, EVERYTHING).await), expected(&[("1 k m p", 2)]));
}
