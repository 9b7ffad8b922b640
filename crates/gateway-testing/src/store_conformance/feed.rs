//! What has changed is told.

use std::time::Duration;

use gateway_keystore::{Changes, KeyChange, Position, StoreError, Version};
use gateway_secret::KeyDigest;
use gateway_store::Backend;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Subject, done, ids, insert, key, plain_key, try_write, write};

/// How long it may take to hear of a change. It is there so that a test ends.
const PATIENCE: Duration = Duration::from_secs(20);

async fn changes(backend: &dyn Backend, since: Option<&Position>) -> Changes {
    let mut changes = done(backend.changes(since).await);
    changes.removed.sort();
    changes
}

/// Where the store is now.
async fn position(backend: &dyn Backend) -> Position {
    changes(backend, None).await.position
}

fn removed(changes: &Changes) -> Vec<&str> {
    changes.removed.iter().map(|id| &**id).collect()
}

pub(super) async fn tells_what_has_changed_since(subject: &impl Subject) {
    let backend = subject.backend();
    let empty = changes(&*backend, None).await;
    assert!(empty.is_everything && empty.keys.is_empty());

    let first = insert(&*backend, "a").await;
    let after_first = position(&*backend).await;
    let second = insert(&*backend, "b").await;
    let after_second = position(&*backend).await;
    assert!(empty.position.version < first && first < second);
    assert_eq!((after_first.version, after_second.version), (first, second));
    let both = changes(&*backend, Some(&empty.position)).await;
    assert!(!both.is_everything && both.position == after_second);
    assert_eq!((ids(&both.keys), removed(&both)), (vec!["a", "b"], vec![]));
    assert_eq!(ids(&changes(&*backend, Some(&after_first)).await.keys), ["b"]);

    write(&*backend, KeyChange::Replace(plain_key("a"))).await;
    write(&*backend, KeyChange::Remove("b".into())).await;
    insert(&*backend, "c").await;
    let last = write(&*backend, KeyChange::Remove("c".into())).await;
    let mixed = changes(&*backend, Some(&after_second)).await;
    assert_eq!((ids(&mixed.keys), removed(&mixed)), (vec!["a"], vec!["b", "c"]));
    assert_eq!(mixed.keys[0].revision, 2);
    assert_eq!(mixed.position.version, last);

    insert(&*backend, "b").await;
    let back = changes(&*backend, Some(&after_second)).await;
    assert_eq!((ids(&back.keys), removed(&back)), (vec!["a", "b"], vec!["c"]), "gone and back is there");
    let nothing = changes(&*backend, Some(&back.position)).await;
    assert_eq!((&nothing.position, nothing.is_everything), (&back.position, false));
    assert!(nothing.keys.is_empty() && nothing.removed.is_empty() && nothing.settings.is_none());
}

pub(super) async fn tells_everything_where_it_has_forgotten(subject: &impl Subject) {
    let backend = subject.backend();
    insert(&*backend, "a").await;
    let long_ago = position(&*backend).await;
    subject.execute("UPDATE config_version SET version = version + 10001").await;
    insert(&*backend, "b").await;
    let everything = changes(&*backend, Some(&long_ago)).await;
    assert!(everything.is_everything);
    assert_eq!(ids(&everything.keys), ["a", "b"]);
}

/// A store that was put back to an earlier state has versions that were seen before, and another one has its own.
pub(super) async fn tells_everything_to_who_was_elsewhere(subject: &impl Subject) {
    let backend = subject.backend();
    insert(&*backend, "a").await;
    insert(&*backend, "b").await;
    let here = position(&*backend).await;
    assert!(!here.store.is_empty() && !here.token.is_empty());
    let Version(version) = here.version;
    let elsewhere = [
        ("ahead", Position { version: Version(version + 1), ..here.clone() }),
        ("here by another way", Position { token: "another".into(), ..here.clone() }),
        ("behind by another way", Position { version: Version(version - 1), ..here.clone() }),
        ("in another store", Position { store: "another".into(), ..here.clone() }),
    ];
    for (place, position) in &elsewhere {
        let everything = changes(&*backend, Some(position)).await;
        assert!(everything.is_everything && everything.position == here && everything.settings.is_some(), "{place}");
        assert_eq!(ids(&everything.keys), ["a", "b"], "{place}");
    }
    // As far as the version can tell, nothing has happened.
    subject.execute("DELETE FROM changes").await;
    subject.execute(&format!("UPDATE config_version SET version = {}", version - 1)).await;
    write(&*backend, KeyChange::Remove("b".into())).await;
    let everything = changes(&*backend, Some(&here)).await;
    assert_eq!((everything.position.version, everything.is_everything), (here.version, true));
    assert_eq!(ids(&everything.keys), ["a"]);
}

pub(super) async fn counts_changes_that_come_at_once(subject: &impl Subject) {
    let mut writers = JoinSet::new();
    for number in 0..16 {
        let backend = subject.backend();
        writers.spawn(async move {
            let version = insert(&*backend, &format!("key {number:02}")).await;
            (version, position(&*backend).await)
        });
    }
    let (mut versions, seen): (Vec<_>, Vec<_>) = writers.join_all().await.into_iter().unzip();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 16, "each has a version of its own");
    let backend = subject.backend();
    // Whatever the version that was seen, everything after it is told later.
    for seen in seen {
        let later = versions.iter().filter(|version| **version > seen.version).count();
        assert_eq!(changes(&*backend, Some(&seen)).await.keys.len(), later);
    }
}

pub(super) async fn sees_what_is_done_by_hand(subject: &impl Subject) {
    let backend = subject.backend();
    let digest = subject.bytes(&"ab".repeat(32));
    let start = position(&*backend).await;
    subject.execute(&format!("INSERT INTO master_keys (id, name, digest) VALUES ('hand', 'Hand', {digest})")).await;
    let made = changes(&*backend, Some(&start)).await;
    let [record] = made.keys.as_slice() else { panic!("{made:?}") };
    assert!(record.digest == KeyDigest::from_bytes([0xAB; 32]) && record.is_enabled && !record.is_weak);
    assert!(record.allowed_models.is_empty(), "a key that was granted nothing may use nothing");
    assert_eq!((&*record.name, record.metadata.as_str(), record.revision), ("Hand", "{}", 1));
    assert_eq!(record.created_at, record.updated_at);

    subject.execute("UPDATE master_keys SET is_enabled = FALSE WHERE id = 'hand'").await;
    let disabled = changes(&*backend, Some(&made.position)).await;
    assert!(!disabled.keys[0].is_enabled && disabled.keys[0].revision == 2, "{disabled:?}");
    let stale = try_write(&*backend, KeyChange::Replace(record.clone())).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "a change by hand is not overwritten: {stale:?}");
    let taken = KeyChange::Insert(gateway_keystore::KeyRecord { digest: record.digest, ..plain_key("other") });
    assert!(matches!(try_write(&*backend, taken).await, Err(StoreError::TakenKey)));

    subject.execute("UPDATE master_keys SET id = 'renamed' WHERE id = 'hand'").await;
    let renamed = changes(&*backend, Some(&disabled.position)).await;
    assert_eq!((ids(&renamed.keys), removed(&renamed)), (vec!["renamed"], vec!["hand"]));
    subject.execute("UPDATE master_keys SET last_used_at = 5").await;
    assert_eq!(position(&*backend).await, renamed.position, "to be used is no change");
    subject.execute("DELETE FROM master_keys").await;
    assert_eq!(removed(&changes(&*backend, Some(&renamed.position)).await), ["renamed"]);
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
    insert(&*backend, "zzz").await;
    let start = position(&*backend).await;
    for (number, (column, value)) in faults.iter().enumerate() {
        subject.execute(&format!("UPDATE master_keys SET {column} = {value} WHERE id = '{}'", id(number))).await;
    }
    for since in [None, Some(&start)] {
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
        let before = position(&*backend).await;
        if by_hand {
            subject.execute("UPDATE master_keys SET is_enabled = FALSE").await;
        } else {
            insert(&*backend, "key").await;
        }
        // It may wake for nothing, but not for ever.
        let seen = async { while wait().await && changes(&*backend, Some(&before)).await.position == before {} };
        assert!(timeout(PATIENCE, seen).await.is_ok(), "by hand: {by_hand}");
        assert_ne!(position(&*backend).await, before);
    }
}
