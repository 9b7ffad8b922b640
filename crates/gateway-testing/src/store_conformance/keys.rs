//! Keys are written and read.

use gateway_keystore::{KeyChange, KeyRecord, RetiredKey, StoreError};
use gateway_ratelimit::{Budget, BudgetPeriod, NanoUsd, RateLimit};
use gateway_secret::KeyDigest;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Subject, done, ids, insert, key, plain_key, try_write, write};

/// A key with everything about it that a key can have.
fn full_key(id: &str) -> KeyRecord {
    let at = |microsecond| Timestamp::from_microsecond(microsecond).unwrap_or_default();
    KeyRecord {
        name: "Ключ \"№ 1\" 🔑".into(),
        is_weak: true,
        previous: Some(RetiredKey { digest: KeyDigest::of(b"previous"), valid_until: at(1_800_000_000_000_001) }),
        allowed_models: vec!["gpt-*".to_owned(), "a,\"b\"".to_owned()],
        rate_limit: Some(RateLimit {
            requests_per_second: Some(10),
            burst_size: Some(20),
            requests_per_minute: Some(0),
            tokens_per_minute: Some(1_000_000),
            max_concurrent: Some(7),
            limit: Some(5),
            period_seconds: Some(3600),
        }),
        budget: Some(Budget { limit: NanoUsd(12_345_678_901), period: BudgetPeriod::Month }),
        expires_at: Some(at(1_900_000_000_999_999)),
        is_enabled: false,
        metadata: r#"{"team":"core","nested":{"list":[1,2.5,null]}}"#.to_owned(),
        last_used_at: Some(at(-1)),
        revision: 4,
        ..plain_key(id)
    }
}

pub(super) async fn come_back_as_they_were(subject: &impl Subject) {
    let backend = subject.backend();
    let keys = [plain_key("plain"), full_key("full"), KeyRecord { allowed_models: vec![], ..plain_key("no model") }];
    for record in &keys {
        write(&*backend, KeyChange::Insert(record.clone())).await;
        assert!(key(&*backend, &record.id).await == *record, "{}", record.id);
    }
    assert!(done(backend.key("none").await).is_none());
    let listed = done(backend.keys(None, 10).await);
    let fed = done(backend.changes(None).await).keys;
    for record in &keys {
        assert!(listed.contains(record) && fed.contains(record), "{}", record.id);
    }
}

pub(super) async fn are_listed_page_by_page(subject: &impl Subject) {
    let backend = subject.backend();
    for id in ["b", "a", "d", "B", "c"] {
        insert(&*backend, id).await;
    }
    let page = async |after, limit| {
        let keys = done(backend.keys(after, limit).await);
        keys.iter().map(|key| key.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, ["B", "a"], "in the order of their bytes");
    assert_eq!(page(Some("a"), 2).await, ["b", "c"]);
    assert_eq!(page(Some("bb"), 9).await, ["c", "d"], "from the first one after an identifier that is not there");
    assert_eq!(page(Some("d"), 2).await, [""; 0]);
    assert_eq!(page(None, 0).await, [""; 0]);
}

pub(super) async fn have_identifiers_and_values_of_their_own(subject: &impl Subject) {
    let backend = subject.backend();
    let until = Timestamp::constant(1_800_000_000, 0);
    let (first, second, third) = (plain_key("first"), plain_key("second"), plain_key("third"));
    let is_taken = async |change| matches!(try_write(&*backend, change).await, Err(StoreError::TakenKey));
    write(&*backend, KeyChange::Insert(first.clone())).await;

    let same_id = KeyRecord { id: "first".into(), ..second.clone() };
    assert!(matches!(try_write(&*backend, KeyChange::Insert(same_id)).await, Err(StoreError::TakenId)));
    assert!(is_taken(KeyChange::Insert(KeyRecord { digest: first.digest, ..second.clone() })).await);
    let retired = |key: &KeyRecord| Some(RetiredKey { digest: key.digest, valid_until: until });
    assert!(is_taken(KeyChange::Insert(KeyRecord { previous: retired(&first), ..second.clone() })).await);

    // Rotated, the first one has two values; nobody else gets either, not even by rotating.
    let rotated = KeyRecord { digest: KeyDigest::of(b"new"), previous: retired(&first), ..first.clone() };
    write(&*backend, KeyChange::Replace(rotated.clone())).await;
    assert!(is_taken(KeyChange::Insert(KeyRecord { digest: first.digest, ..second.clone() })).await);
    write(&*backend, KeyChange::Insert(second.clone())).await;
    assert!(is_taken(KeyChange::Replace(KeyRecord { digest: rotated.digest, ..second.clone() })).await);
    assert!(key(&*backend, "second").await == second, "what was refused has left no trace");

    // Rotated once more, the first value is free again.
    let again =
        KeyRecord { digest: KeyDigest::of(b"newer"), previous: retired(&rotated), revision: 2, ..first.clone() };
    write(&*backend, KeyChange::Replace(again)).await;
    write(&*backend, KeyChange::Insert(KeyRecord { digest: first.digest, ..third })).await;
}

pub(super) async fn are_replaced_once_for_each_revision(subject: &impl Subject) {
    let backend = subject.backend();
    let before = plain_key("key");
    write(&*backend, KeyChange::Insert(before.clone())).await;
    let used = [(before.id.clone(), Timestamp::constant(1_700_000_500, 0))];
    done(backend.touch(&used).await);

    // It was read before it was used; that it was is not forgotten, nor does it count as a change.
    let changed = full_key("key");
    let changed = KeyRecord { revision: 1, last_used_at: None, ..changed };
    write(&*backend, KeyChange::Replace(changed.clone())).await;
    let expected = KeyRecord { revision: 2, last_used_at: Some(used[0].1), ..changed.clone() };
    assert!(key(&*backend, "key").await == expected);

    for stale in [1, 3] {
        let change = KeyChange::Replace(KeyRecord { revision: stale, ..changed.clone() });
        assert!(matches!(try_write(&*backend, change).await, Err(StoreError::Stale)), "revision {stale}");
    }
    let unknown = KeyChange::Replace(plain_key("unknown"));
    assert!(matches!(try_write(&*backend, unknown).await, Err(StoreError::NotFound)));
    write(&*backend, KeyChange::Replace(KeyRecord { revision: 2, ..before.clone() })).await;
    let expected = KeyRecord { revision: 3, last_used_at: Some(used[0].1), ..before };
    assert!(key(&*backend, "key").await == expected, "what was there is cleared");
}

pub(super) async fn are_replaced_by_one_of_many_at_once(subject: &impl Subject) {
    let backend = subject.backend();
    insert(&*backend, "key").await;
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let backend = subject.backend();
        writers.spawn(async move { try_write(&*backend, KeyChange::Replace(plain_key("key"))).await });
    }
    let answers = writers.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(StoreError::Stale))), "{answers:?}");
    assert_eq!(key(&*backend, "key").await.revision, 2);
}

pub(super) async fn are_gone_once_removed(subject: &impl Subject) {
    let backend = subject.backend();
    insert(&*backend, "key").await;
    insert(&*backend, "other").await;
    write(&*backend, KeyChange::Remove("key".into())).await;
    assert!(done(backend.key("key").await).is_none());
    assert_eq!(ids(&done(backend.keys(None, 9).await)), ["other"]);
    let again = try_write(&*backend, KeyChange::Remove("key".into())).await;
    assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
    insert(&*backend, "key").await;
}

pub(super) async fn are_noted_with_every_change_and_only_then(subject: &impl Subject) {
    let backend = subject.backend();
    insert(&*backend, "one").await;
    write(&*backend, KeyChange::Replace(plain_key("one"))).await;
    let position = done(backend.changes(None).await).position;
    let refused =
        [KeyChange::Insert(plain_key("one")), KeyChange::Replace(plain_key("one")), KeyChange::Remove("two".into())];
    for change in refused {
        assert!(try_write(&*backend, change).await.is_err());
    }
    assert_eq!(done(backend.changes(None).await).position, position, "what is refused changes nothing");
    write(&*backend, KeyChange::Remove("one".into())).await;

    let notes = done(backend.audit(None, 10).await);
    let told: Vec<_> = notes.iter().map(|note| (note.action.as_str(), note.object.as_str())).collect();
    let expected = [("master_key.delete", "one"), ("master_key.update", "one"), ("master_key.create", "one")];
    assert_eq!(told, expected, "the latest first, and nothing of what was refused");
    let first = &notes[2];
    assert_eq!((first.at, first.actor.as_str()), (Timestamp::constant(1_700_000_001, 0), "cli"));
    assert_eq!((first.before.as_deref(), first.after.as_deref()), (None, Some(r#"{"id":"one"}"#)));
    let page = done(backend.audit(Some(notes[0].number), 1).await);
    assert_eq!(page, notes[1..2], "from the first one before a number");
}
