//! What a file has to be, and what it is afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use futures_util::future::{join_all, poll_immediate};
use gateway_keystore::{KeyFeed, KeyRepository, StoreError};
use gateway_store::{Access, Schema, SqliteStore};
use gateway_testing::store_conformance::{Subject, plain_key, write};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::file::File;

#[tokio::test]
async fn a_place_that_cannot_be_a_store_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    for (place, expected) in [("missing/gateway.db", "missing does not exist"), ("", "cannot be opened for writing")] {
        let place = folder.path().join(place);
        let store = SqliteStore::open(place.to_str().unwrap()).unwrap();
        let problem = store.migrate_up().await.unwrap_err().with_cause();
        assert!(problem.contains(expected), "{}: {problem}", place.display());
    }
    assert!(SqliteStore::open("").is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "what is refused leaves nothing behind");
}

#[tokio::test]
async fn a_path_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["50%25?mode=memory#.db", "with a space", "Ключи.db", ":memory:"] {
        let path = folder.path().join(name);
        let store = SqliteStore::open(path.to_str().unwrap()).unwrap();
        assert!(store.migrate_up().await.unwrap() > 0);
        assert!(fs::metadata(&path).unwrap().len() > 0, "{name}");
        assert_eq!(store.path(), path);
    }
}

#[tokio::test]
async fn nobody_else_can_read_the_file_or_what_lies_beside_it() {
    let file = File::with_tables().await;
    write(&*file.backend(), gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    let files: Vec<_> = fs::read_dir(file.folder.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(files.len() > 1, "the log of what is written lies beside the file");
    for entry in files {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn the_file_is_in_wal_mode_for_everybody() {
    let file = File::with_tables().await;
    let mut connection = SqliteConnection::connect(file.path().to_str().unwrap()).await.unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_file_that_is_no_store_is_damaged_and_left_alone() {
    let file = File::empty();
    let text = "this is somebody's letter, and not a database at all; ".repeat(100);
    fs::write(file.path(), &text).unwrap();
    for answer in [file.store.migrate_up().await.map(drop), file.store.changes(None).await.map(drop)] {
        assert!(matches!(answer, Err(StoreError::Damaged { .. })), "{answer:?}");
    }
    assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
}

#[tokio::test]
async fn what_was_acknowledged_is_read_by_another_process() {
    let file = File::with_tables().await;
    write(&*file.backend(), gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    // The first store is still open, so nothing was tidied up at its end: this is what is left after a crash.
    assert!(file.again().key("key").await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_that_is_closed_is_one_file() {
    let file = File::with_tables().await;
    write(&*file.backend(), gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    file.store.close().await;
    let names: Vec<_> = fs::read_dir(file.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["gateway.db"]);
    assert!(file.store.key("key").await.unwrap().is_some(), "who asks again is answered");
}

#[tokio::test]
async fn connections_that_are_closed_together_leave_no_log() {
    let file = File::with_tables().await;
    let log = file.path().with_file_name("gateway.db-wal");
    for round in 0..40 {
        let asked = (0..4).map(|_| file.store.keys(None, 9));
        assert!(join_all(asked).await.iter().all(Result::is_ok));
        file.store.close().await;
        assert!(!log.exists(), "round {round}");
    }
}

#[tokio::test]
async fn what_is_given_up_half_way_is_closed_with_the_rest() {
    let file = File::with_tables().await;
    let log = file.path().with_file_name("gateway.db-wal");
    for polls in 1..40 {
        // So that there is a connection.
        file.store.keys(None, 9).await.unwrap();
        let mut asked = file.store.keys(None, 9);
        for _ in 0..polls {
            if poll_immediate(&mut asked).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(asked);
        file.store.close().await;
        assert!(!log.exists(), "given up after {polls} polls");
    }
}
