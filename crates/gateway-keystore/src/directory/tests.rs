use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use gateway_ratelimit::RateLimit;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::RetiredKey;

fn digest(number: u32) -> KeyDigest {
    KeyDigest::of(&number.to_le_bytes())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn record(id: &str, key: u32) -> KeyRecord {
    KeyRecord::unlimited(id, digest(key))
}

fn retired(key: u32, until: i64) -> RetiredKey {
    RetiredKey { digest: digest(key), valid_until: at(until) }
}

fn everything(keys: Vec<KeyRecord>) -> Changes {
    Changes { is_everything: true, keys, ..Changes::default() }
}

fn some(keys: Vec<KeyRecord>, removed: &[&str]) -> Changes {
    let removed = removed.iter().map(|id| (*id).into()).collect();
    Changes { keys, removed, ..Changes::default() }
}

fn loaded(keys: Vec<KeyRecord>) -> KeyDirectory {
    let directory = KeyDirectory::default();
    assert!(directory.apply(&everything(keys)).is_empty());
    directory.set_reachable(true);
    directory
}

fn find(directory: &KeyDirectory, key: u32) -> Result<Option<Arc<VirtualKey>>, KeyStoreError> {
    let answer = pin!(directory.find(&digest(key)));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => found,
        Poll::Pending => panic!("a directory answers from memory"),
    }
}

/// The account behind a key; none if it is unknown.
fn account(directory: &KeyDirectory, key: u32) -> Option<String> {
    find(directory, key).unwrap().map(|key| key.account.to_string())
}

#[test]
fn tokens_matter_as_long_as_there_is_a_key_whose_tokens_do() {
    let limited = |limit| KeyRecord { rate_limit: Some(limit), ..record("b", 2) };
    let directory = loaded(vec![record("a", 1), limited(RateLimit { limit: Some(1), ..RateLimit::default() })]);
    assert!(!directory.counts_tokens());
    directory.apply(&some(vec![limited(RateLimit { tokens_per_minute: Some(1), ..RateLimit::default() })], &[]));
    assert!(directory.counts_tokens());
    directory.apply(&some(vec![], &["b"]));
    assert!(!directory.counts_tokens());
}

#[test]
fn a_key_is_denied_only_by_a_directory_that_can_know() {
    let directory = KeyDirectory::default();
    assert!(find(&directory, 1).is_err() && !directory.is_loaded());
    // Reachable, but nothing was read yet.
    directory.set_reachable(true);
    assert!(find(&directory, 1).is_err());
    directory.apply(&some(vec![record("a", 1)], &[]));
    assert_eq!(account(&directory, 1).as_deref(), Some("a"));
    assert!(find(&directory, 2).is_err() && !directory.is_loaded());
    directory.apply(&everything(vec![record("a", 1)]));
    assert_eq!(account(&directory, 2), None);
    // What is known goes on working without the store; what is not may have been made meanwhile.
    directory.set_reachable(false);
    assert_eq!(account(&directory, 1).as_deref(), Some("a"));
    assert!(matches!(find(&directory, 2), Err(KeyStoreError::Unavailable { .. })));
}

#[test]
fn a_retired_key_spends_from_the_same_account_until_its_time() {
    let overlapping = KeyRecord { previous: Some(retired(1, 50)), ..record("a", 2) };
    let expiring = KeyRecord { previous: Some(retired(3, 50)), expires_at: Some(at(20)), ..record("b", 4) };
    let directory = loaded(vec![overlapping, expiring]);
    let end = |key| find(&directory, key).unwrap().unwrap().expires_at;
    assert_eq!((account(&directory, 1), account(&directory, 2)), (Some("a".into()), Some("a".into())));
    assert_eq!((end(1), end(2)), (Some(at(50)), None));
    // An overlap does not outlive the key itself.
    assert_eq!((end(3), end(4)), (Some(at(20)), Some(at(20))));
    assert_eq!(directory.len(), 2);
}

#[test]
fn a_change_takes_the_place_of_what_was() {
    let directory = loaded(vec![record("a", 1), record("b", 2)]);
    directory.apply(&some(vec![KeyRecord { previous: Some(retired(1, 50)), ..record("a", 3) }], &[]));
    assert_eq!((account(&directory, 1), account(&directory, 3)), (Some("a".into()), Some("a".into())));
    directory.apply(&some(vec![KeyRecord { is_enabled: false, ..record("a", 3) }], &["b"]));
    assert_eq!((account(&directory, 1), account(&directory, 2)), (None, None));
    assert!(!find(&directory, 3).unwrap().unwrap().is_enabled);
    assert_eq!(directory.len(), 1);
}

#[test]
fn a_key_that_changes_hands_is_the_new_holders() {
    let directory = loaded(vec![record("a", 1)]);
    directory.apply(&some(vec![record("b", 1)], &["a"]));
    assert_eq!(account(&directory, 1).as_deref(), Some("b"));
    directory.apply(&everything(vec![record("c", 1)]));
    assert_eq!(account(&directory, 1).as_deref(), Some("c"));
    assert_eq!(directory.len(), 1);
}

#[test]
fn keys_that_make_no_sense_are_unknown() {
    let directory = loaded(vec![record("a", 1), record("b", 2)]);
    let senseless = RateLimit { burst_size: Some(5), ..RateLimit::default() };
    let refused = directory.apply(&some(vec![KeyRecord { rate_limit: Some(senseless), ..record("a", 1) }], &[]));
    assert_eq!(refused.len(), 1);
    assert_eq!((&*refused[0].0, refused[0].1.field), ("a", "burst_size"));
    let unreadable = Changes { unreadable: vec![("b".to_owned(), "no JSON".to_owned())], ..some(Vec::new(), &[]) };
    assert!(directory.apply(&unreadable).is_empty());
    assert_eq!((account(&directory, 1), account(&directory, 2)), (None, None));
    assert!(directory.is_empty());
}

#[test]
fn those_that_were_used_are_told_once() {
    let used = |directory: &KeyDirectory| directory.take_used().iter().map(ToString::to_string).collect::<Vec<_>>();
    let directory =
        loaded(vec![record("b", 1), KeyRecord { previous: Some(retired(3, 50)), ..record("a", 2) }, record("c", 4)]);
    assert!(directory.take_used().is_empty());
    for key in [1, 2, 3, 1, 9] {
        drop(find(&directory, key));
    }
    assert_eq!(used(&directory), ["a", "b"]);
    assert!(used(&directory).is_empty());
    // A change does not make it forget.
    drop(find(&directory, 1));
    directory.apply(&some(vec![record("b", 1)], &[]));
    assert_eq!(used(&directory), ["b"]);
}

#[test]
fn equal_limits_and_models_are_held_once() {
    let directory = loaded(vec![record("a", 1), record("b", 2)]);
    let (a, b) = (find(&directory, 1).unwrap().unwrap(), find(&directory, 2).unwrap().unwrap());
    assert!(Arc::ptr_eq(&a.limits, &b.limits) && Arc::ptr_eq(&a.allowed_models, &b.allowed_models));
    let mut interned = Interned::default();
    for value in 0..100 {
        assert_eq!(*interned.share(Arc::new(value)), value);
    }
    assert_eq!(interned.known.len(), Interned::<i32>::MOST);
}

#[test]
fn a_good_key_is_never_unknown_while_others_change() {
    let states = [
        vec![record("good", 1), record("other", 3)],
        vec![KeyRecord { previous: Some(retired(1, 9)), ..record("good", 2) }],
        vec![record("good", 1), record("other", 4), record("another", 5)],
        // The same key under another name.
        vec![record("good again", 1)],
    ];
    let directory = loaded(states[3].clone());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut missed = 0;
            while !is_over.load(Ordering::Relaxed) {
                missed += u32::from(account(&directory, 1).is_none());
            }
            missed
        });
        for round in 0..20_000 {
            directory.apply(&everything(states[round % states.len()].clone()));
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(reader.join().unwrap(), 0);
    });
}

/// What a store holds: identifiers with the key and the one before.
type Held = BTreeMap<u8, (u32, Option<u32>)>;

/// Writes that a store would accept: no two identifiers have a key in common.
fn histories() -> impl Strategy<Value = Vec<Held>> {
    let state = proptest::collection::btree_map(0_u8..6, (0_u32..24, proptest::option::of(0_u32..24)), 0..6);
    proptest::collection::vec(
        state.prop_filter_map("keys are unique", |held| {
            let mut seen = BTreeSet::new();
            held.values()
                .all(|(key, before)| seen.insert(*key) && before.is_none_or(|it| seen.insert(it)))
                .then_some(held)
        }),
        1..8,
    )
}

fn records(held: &Held) -> Vec<KeyRecord> {
    let record = |(id, (key, before)): (&u8, &(u32, Option<u32>))| KeyRecord {
        previous: before.map(|key| retired(key, 50)),
        ..record(&id.to_string(), *key)
    };
    held.iter().map(record).collect()
}

proptest! {
    /// Whether the news comes bit by bit or whole, the directory is what the store is.
    #[test]
    fn a_directory_is_what_the_store_is(history in histories(), wholes: u8) {
        let directory = loaded(Vec::new());
        let mut before = Held::new();
        for (step, held) in history.into_iter().enumerate() {
            let changed: Held =
                held.iter().filter(|(id, keys)| before.get(id) != Some(keys)).map(|(id, keys)| (*id, *keys)).collect();
            let gone: Vec<_> = before.keys().filter(|id| !held.contains_key(id)).map(ToString::to_string).collect();
            let gone: Vec<_> = gone.iter().map(String::as_str).collect();
            let is_whole = wholes & (1 << step) != 0;
            directory.apply(&if is_whole { everything(records(&held)) } else { some(records(&changed), &gone) });
            for key in 0..24 {
                let holder = held.iter().find(|(_, (current, before))| *current == key || *before == Some(key));
                prop_assert_eq!(account(&directory, key), holder.map(|(id, _)| id.to_string()));
            }
            prop_assert_eq!(directory.len(), held.len());
            before = held;
        }
    }
}

/// Whoever counts by the names of keys goes by this: a name that is in use nowhere must not seem to be.
#[test]
fn a_name_is_let_go_of_with_the_key_that_had_it() {
    let named = |name: &str| KeyRecord { name: name.into(), ..record("a", 1) };
    let directory = loaded(vec![named("directory-test-first")]);
    let held = |directory: &KeyDirectory| find(directory, 1).unwrap().unwrap().name.downgrade();
    let first = held(&directory);
    directory.apply(&some(vec![named("directory-test-second")], &[]));
    let second = held(&directory);
    assert!(first.is_gone() && !second.is_gone(), "renamed");
    let in_use = find(&directory, 1).unwrap();
    directory.apply(&some(vec![], &["a"]));
    assert!(account(&directory, 1).is_none() && !second.is_gone(), "a call that began before goes on");
    drop(in_use);
    assert!(second.is_gone(), "deleted");
}
