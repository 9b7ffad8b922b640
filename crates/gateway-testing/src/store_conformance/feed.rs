//! What has changed is told.

use std::time::Duration;

use gateway_keystore::{Changes, KeyChange, StoreError, Version};
use gateway_secret::KeyDigest;
use gateway_store::Backend;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Subject, done, ids, insert, key, plain_key, try_write, write};

/// How long it may take to hear of a change. It is there so that a test ends.
const PATIENCE: Duration = Duration::from_secs(20);

async fn changes(backend: &dyn Backend, since: Option<Version>) -> Changes {
    let mut changes = done(backend.changes(since).await);
    changes.removed.sort();
    changes
}

fn removed(changes: &Changes) -> Vec<&str> {
    changes.removed.iter().map(|id| &**id).collect()
}

pub(super) async fn tells_what_has_changed_since(subject: &impl Subject) {
    let backend = subject.backend();
    let empty = changes(&*backend, None).await;
    assert!(empty.is_everything && empty.keys.is_empty());

    let first = insert(&*backend, "a").await;
    let second = insert(&*backend, "b").await;
    assert!(empty.version < first && first < second);
    let both = changes(&*backend, Some(empty.version)).await;
    assert!(!both.is_everything && both.version == second);
    assert_eq!((ids(&both.keys), removed(&both)), (vec!["a", "b"], vec![]));
    assert_eq!(ids(&changes(&*backend, Some(first)).await.keys), ["b"]);

    write(&*backend, KeyChange::Replace(plain_key("a"))).await;
    write(&*backend, KeyChange::Remove("b".into())).await;
    insert(&*backend, "c").await;
    let last = write(&*backend, KeyChange::Remove("c".into())).await;
    let mixed = changes(&*backend, Some(second)).await;
    assert_eq!((ids(&mixed.keys), removed(&mixed)), (vec!["a"], vec!["b", "c"]));
    assert_eq!(mixed.keys[0].revision, 2);
    assert_eq!(mixed.version, last);

    insert(&*backend, "b").await;
    let back = changes(&*backend, Some(second)).await;
    assert_eq!((ids(&back.keys), removed(&back)), (vec!["a", "b"], vec!["c"]), "gone and back is there");
    let nothing = changes(&*backend, Some(back.version)).await;
    assert_eq!((nothing.version, nothing.is_everything), (back.version, false));
    assert!(nothing.keys.is_empty() && nothing.removed.is_empty());
}

pub(super) async fn tells_everything_where_it_has_forgotten(subject: &impl Subject) {
    let backend = subject.backend();
    let long_ago = insert(&*backend, "a").await;
    subject.execute("UPDATE config_version SET version = version + 10001").await;
    insert(&*backend, "b").await;
    let everything = changes(&*backend, Some(long_ago)).await;
    assert!(everything.is_everything);
    assert_eq!(ids(&everything.keys), ["a", "b"]);
    // A store that was put back to an earlier state.
    let future = changes(&*backend, Some(Version(everything.version.0 + 1))).await;
    assert!(future.is_everything && future.version == everything.version);
    assert_eq!(ids(&future.keys), ["a", "b"]);
}

pub(super) async fn counts_changes_that_come_at_once(subject: &impl Subject) {
    let mut writers = JoinSet::new();
    for number in 0..16 {
        let backend = subject.backend();
        writers.spawn(async move { insert(&*backend, &format!("key {number:02}")).await });
    }
    let mut versions = writers.join_all().await;
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 16, "each has a version of its own");
    let backend = subject.backend();
    // Whatever the version that was seen, everything after it is told later.
    for (seen, version) in versions.iter().enumerate() {
        assert_eq!(changes(&*backend, Some(*version)).await.keys.len(), 15 - seen);
    }
}

pub(super) async fn sees_what_is_done_by_hand(subject: &impl Subject) {
    let backend = subject.backend();
    let digest = subject.bytes(&"ab".repeat(32));
    let start = changes(&*backend, None).await.version;
    subject.execute(&format!("INSERT INTO master_keys (id, name, digest) VALUES ('hand', 'Hand', {digest})")).await;
    let made = changes(&*backend, Some(start)).await;
    let [record] = made.keys.as_slice() else { panic!("{made:?}") };
    assert!(record.digest == KeyDigest::from_bytes([0xAB; 32]) && record.is_enabled && !record.is_weak);
    assert!(record.allowed_models.is_empty(), "a key that was granted nothing may use nothing");
    assert_eq!((&*record.name, record.metadata.as_str(), record.revision), ("Hand", "{}", 1));
    assert_eq!(record.created_at, record.updated_at);

    subject.execute("UPDATE master_keys SET is_enabled = FALSE WHERE id = 'hand'").await;
    let disabled = changes(&*backend, Some(made.version)).await;
    assert!(!disabled.keys[0].is_enabled && disabled.keys[0].revision == 2, "{disabled:?}");
    let stale = try_write(&*backend, KeyChange::Replace(record.clone())).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "a change by hand is not overwritten: {stale:?}");
    let taken = KeyChange::Insert(gateway_keystore::KeyRecord { digest: record.digest, ..plain_key("other") });
    assert!(matches!(try_write(&*backend, taken).await, Err(StoreError::TakenKey)));

    subject.execute("UPDATE master_keys SET id = 'renamed' WHERE id = 'hand'").await;
    let renamed = changes(&*backend, Some(disabled.version)).await;
    assert_eq!((ids(&renamed.keys), removed(&renamed)), (vec!["renamed"], vec!["hand"]));
    subject.execute("UPDATE master_keys SET last_used_at = 5").await;
    assert_eq!(changes(&*backend, None).await.version, renamed.version, "to be used is no change");
    subject.execute("DELETE FROM master_keys").await;
    assert_eq!(removed(&changes(&*backend, Some(renamed.version)).await), ["renamed"]);
}

pub(super) async fn leaves_out_what_cannot_be_read(subject: &impl Subject) {
    let backend = subject.backend();
    let faults = [
        ("allowed_models", "'gpt-4'"),
        ("allowed_models", r#"'{"0":"gpt-4"}'"#),
        ("rate_limit", "'{bad'"),
        ("rate_limit", r#"'{"requests_per_second":"many"}'"#),
        // What is derived to read an object reads a list as well.
        ("rate_limit", "'[]'"),
        ("rate_limit", "' [1]'"),
        ("rate_limit", "'null'"),
        ("budget", r#"'{"usd":-1,"period":"day"}'"#),
        ("budget", r#"'[1,"day"]'"#),
        ("budget", "'[]'"),
        ("metadata", "'[]'"),
        ("digest", &subject.bytes("abcd")),
        ("created_at", "9223372036854775807"),
        ("previous_valid_until", "5"),
    ];
    insert(&*backend, "aaa").await;
    let id = |number: usize| format!("row {number:02}");
    for number in 0..faults.len() {
        insert(&*backend, &id(number)).await;
    }
    let start = insert(&*backend, "zzz").await;
    for (number, (column, value)) in faults.iter().enumerate() {
        subject.execute(&format!("UPDATE master_keys SET {column} = {value} WHERE id = '{}'", id(number))).await;
    }
    for since in [None, Some(start)] {
        let mut changes = changes(&*backend, since).await;
        assert_eq!(ids(&changes.keys), if since.is_none() { vec!["aaa", "zzz"] } else { vec![] });
        changes.unreadable.sort();
        assert_eq!(changes.unreadable.len(), faults.len(), "{:?}", changes.unreadable);
        for (number, (found, problem)) in changes.unreadable.iter().enumerate() {
            assert!(*found == id(number) && problem.contains(faults[number].0), "{:?}: {problem}", faults[number]);
        }
    }
    let listed = done(backend.keys(None, 2).await);
    assert_eq!(ids(&listed), ["aaa", "zzz"], "unreadable ones do not end a page");
    for (number, fault) in faults.iter().enumerate() {
        let answer = backend.key(&id(number)).await;
        let Err(StoreError::Unreadable { id, problem }) = answer else { panic!("{fault:?}: {answer:?}") };
        assert!(problem.contains(fault.0), "{problem}");
        write(&*backend, KeyChange::Remove(id.as_str().into())).await;
        assert!(done(backend.key(&id).await).is_none(), "what cannot be read can be removed");
    }
    assert!(changes(&*backend, None).await.unreadable.is_empty());

    insert(&*backend, "repaired").await;
    subject.execute("UPDATE master_keys SET allowed_models = 'all' WHERE id = 'repaired'").await;
    subject.execute("UPDATE master_keys SET allowed_models = '[\"*\"]' WHERE id = 'repaired'").await;
    assert_eq!(key(&*backend, "repaired").await.allowed_models, ["*"]);
}

pub(super) async fn wakes_when_something_has_changed(subject: &impl Subject) {
    let backend = subject.backend();
    // The first wait is over at once: what came before it went unheard.
    let wait = async || timeout(PATIENCE, backend.changed()).await.is_ok_and(|changed| changed.is_ok());
    assert!(wait().await);
    for by_hand in [false, true] {
        let before = changes(&*backend, None).await.version;
        if by_hand {
            subject.execute("UPDATE master_keys SET is_enabled = FALSE").await;
        } else {
            insert(&*backend, "key").await;
        }
        // It may wake for nothing, but not for ever.
        let seen = async { while wait().await && changes(&*backend, Some(before)).await.version == before {} };
        assert!(timeout(PATIENCE, seen).await.is_ok(), "by hand: {by_hand}");
        assert_ne!(changes(&*backend, None).await.version, before);
    }
}
