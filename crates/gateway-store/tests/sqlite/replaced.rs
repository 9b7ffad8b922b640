//! A file that is taken away or replaced while it is open.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{KeyChange, KeyRepository, StoreError};
use gateway_store::{Access, Follower, LoadedFrom, Misplaced, Schema, SqliteStore};
use gateway_testing::store_conformance::{Subject, plain_key, try_write, write};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};
use tokio::time::{sleep, timeout};

use crate::file::File;
use crate::follower::{PATIENCE, Scene};

async fn until_reachable(follower: &Follower, is_reachable: bool) {
    let wanted = follower.until(|status| status.is_reachable == is_reachable);
    timeout(PATIENCE, wanted).await.unwrap();
}

/// A store with these keys, closed, to be put in the place of another.
async fn copy(path: &Path, keys: &[&str]) {
    let store = SqliteStore::open(path.to_str().unwrap()).unwrap();
    store.migrate_up().await.unwrap();
    for key in keys {
        write(&store, KeyChange::Insert(plain_key(key))).await;
    }
    store.close().await;
}

fn is_misplaced<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { source }) if source.is::<Misplaced>())
}

#[tokio::test]
async fn a_file_that_is_gone_is_noticed_and_not_made_anew() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    let follower = scene.follow().await;
    let (path, aside) = (scene.file.path(), scene.file.folder.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    until_reachable(&follower, false).await;
    assert!(follower.status().needs_attention);
    let problem = follower.status().last_error.unwrap();
    assert!(problem.contains(path.to_str().unwrap()) && problem.contains("is not there; put it back"), "{problem}");
    assert!(scene.knows("first").await);
    assert!(is_misplaced(&scene.file.store.key("first").await) && !path.exists());

    // The same file comes back with what was only in the log beside it.
    fs::rename(&aside, &path).unwrap();
    until_reachable(&follower, true).await;
    assert!(scene.knows("first").await && scene.file.store.key("first").await.unwrap().is_some());
}

#[tokio::test]
async fn what_went_into_a_file_that_was_taken_away_is_not_said_to_be_written() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    let path = scene.file.path();
    let mut other = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let store = Arc::clone(&scene.file.store);
    let writing = tokio::spawn(async move { try_write(&*store, KeyChange::Insert(plain_key("second"))).await });
    // Until it waits for the lock. If that takes longer, it fails before it has written anything, which is as well.
    sleep(Duration::from_millis(200)).await;
    fs::rename(&path, scene.file.folder.path().join("aside")).unwrap();
    other.execute("COMMIT").await.unwrap();
    let written = timeout(PATIENCE, writing).await.unwrap().unwrap();
    assert!(is_misplaced(&written), "{written:?}");
}

#[tokio::test]
async fn another_file_is_read_as_a_whole() {
    let scene = Scene::new().await;
    // What is in the log of a file that is gone must not come into the next one: nothing is written back here.
    scene.file.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    scene.insert("first").await;
    scene.insert("second").await;
    let follower = scene.follow().await;
    let path = scene.file.path();
    let log = path.with_file_name("gateway.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    // As many changes as the other, so that the version is the same.
    let other = scene.file.folder.path().join("other");
    copy(&other, &["third", "fourth"]).await;
    fs::rename(&other, &path).unwrap();
    // Keys come one by one: those that are there first, then those that are gone.
    let is_seen = async || {
        while !scene.knows("third").await || scene.knows("first").await || scene.knows("second").await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_seen()).await.unwrap();
    until_reachable(&follower, true).await;
    assert!(scene.knows("fourth").await);
    let version = scene.insert("fifth").await;
    assert!(follower.wait_until_visible(version).await && scene.knows("fifth").await);
    let again = scene.file.again();
    let ids: Vec<_> = again.keys(None, 9).await.unwrap().iter().map(|key| key.id.to_string()).collect();
    assert_eq!(ids, ["fifth", "fourth", "third"]);
    // The last one to close the file puts the log into it.
    again.close().await;
    follower.stop().await;
    assert!(!log.exists());
    let check = scene.file.again();
    assert!(check.key("fifth").await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_without_the_tables_is_not_taken_for_the_store() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    let follower = scene.follow().await;
    fs::remove_file(scene.file.path()).unwrap();
    until_reachable(&follower, false).await;
    fs::write(scene.file.path(), "").unwrap();
    let is_told = |status: &gateway_store::FollowerStatus| {
        status.last_error.as_ref().is_some_and(|error| error.contains("version 0, not"))
    };
    timeout(PATIENCE, follower.until(is_told)).await.unwrap();
    assert!(follower.status().needs_attention && follower.status().loaded_from == LoadedFrom::Store);
    assert!(scene.knows("first").await, "what is known goes on working");
    copy(&scene.file.folder.path().join("sound"), &["second"]).await;
    fs::rename(scene.file.folder.path().join("sound"), scene.file.path()).unwrap();
    until_reachable(&follower, true).await;
    assert!(!scene.knows("first").await && scene.knows("second").await);
}

#[tokio::test]
async fn a_write_never_goes_into_a_file_that_is_gone() {
    let file = File::with_tables().await;
    write(&*file.backend(), KeyChange::Insert(plain_key("first"))).await;
    copy(&file.folder.path().join("other"), &[]).await;
    fs::rename(file.folder.path().join("other"), file.path()).unwrap();
    // The first who meets the other file is told; the next one works on it.
    assert!(is_misplaced(&file.store.key("first").await));
    assert_eq!((file.store.generation(), file.store.key("first").await.unwrap().is_none()), (1, true));
}
