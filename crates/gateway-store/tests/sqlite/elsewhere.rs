//! The store is not where it was seen, or is another one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_keystore::{KeyChange, Ledger};
use gateway_ratelimit::{BudgetPeriod, BudgetWindow, NanoUsd, Spend};
use gateway_store::{Follower, Following, LoadedFrom};
use gateway_testing::store_conformance::{Subject, plain_key, write};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::file::File;
use crate::follower::{PATIENCE, Scene};

fn snapshot(scene: &Scene) -> PathBuf {
    scene.file.folder.path().join("snapshot")
}

/// Follows with the last good state in the folder of another.
async fn follow_in(scene: &Scene, folder: &Scene) -> Follower {
    let following = Following { snapshot: Some(snapshot(folder)), ..scene.following() };
    Follower::start(following).await.unwrap()
}

fn spend(amount: u64) -> Spend {
    let window = BudgetWindow { period: BudgetPeriod::Total, start: Timestamp::UNIX_EPOCH };
    Spend { account: "account".into(), window, amount: NanoUsd(amount) }
}

#[tokio::test]
async fn a_store_that_was_put_back_and_went_elsewhere_is_read_as_a_whole() {
    let scene = Scene::new().await;
    scene.insert("kept").await;
    scene.insert("revoked").await;
    let follower = scene.follow().await;
    let before = follower.status().position.version;
    // As when it is put back to the first change, and another one is made: the version is the same as before.
    let restored = format!(
        "BEGIN; DELETE FROM master_keys WHERE id = 'revoked'; DELETE FROM changes WHERE version > 1; \
         UPDATE config_version SET version = 1; \
         INSERT INTO master_keys (id, name, digest) VALUES ('new', 'by hand', x'{}'); COMMIT",
        crate::file::hex("new")
    );
    scene.file.execute(&restored).await;
    // No version tells when it is seen, and keys come one by one: those that are there first, then those that are gone.
    let is_seen = async {
        while !scene.knows("new").await || scene.knows("revoked").await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_seen).await.unwrap();
    assert_eq!(follower.status().position.version, before);
    assert!(scene.knows("kept").await);

    // Nor does a crash bring it back. What comes later is told as ever.
    let version = scene.insert("later").await;
    assert!(follower.wait_until_visible(version).await);
    drop(follower);
    let scene = scene.restart();
    scene.backend.go_away();
    let _follower = scene.follow().await;
    assert!(scene.knows("new").await && scene.knows("later").await && !scene.knows("revoked").await);
}

#[tokio::test]
async fn a_last_good_state_of_the_very_state_is_not_written_anew() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    scene.follow().await.stop().await;
    let path = snapshot(&scene);
    let file = || (fs::metadata(&path).unwrap().ino(), fs::read(&path).unwrap());
    let before = file();
    let scene = scene.restart();
    let follower = scene.follow().await;
    follower.stop().await;
    assert_eq!(file(), before);

    // It goes on in the same file.
    let scene = scene.restart();
    let follower = scene.follow().await;
    let version = scene.insert("second").await;
    assert!(follower.wait_until_visible(version).await);
    follower.stop().await;
    let (inode, text) = file();
    assert!(inode == before.0 && text.starts_with(&before.1) && text.len() > before.1.len());

    // What has changed while nobody looked is not in it.
    scene.insert("third").await;
    let scene = scene.restart();
    scene.follow().await.stop().await;
    assert_ne!(file().0, inode);
    let scene = scene.restart();
    scene.backend.go_away();
    let _follower = scene.follow().await;
    assert!(scene.knows("first").await && scene.knows("second").await && scene.knows("third").await);
}

#[tokio::test]
async fn the_last_good_state_of_another_store_is_not_used_but_kept() {
    let (one, other) = (Scene::new().await, Scene::new().await);
    one.insert("one").await;
    other.insert("other").await;
    let follower = follow_in(&one, &one).await;
    one.backend.go_away();
    timeout(PATIENCE, follower.until(|status| !status.is_reachable)).await.unwrap();
    one.book.spend(spend(5));
    follower.stop().await;

    other.backend.go_away();
    let follower = follow_in(&other, &one).await;
    assert_eq!(follower.status().loaded_from, LoadedFrom::Nothing, "it is of another place");
    assert!(!other.knows("one").await && other.book.unrecorded().is_empty());
    other.backend.come_back();
    timeout(PATIENCE, follower.ready()).await.unwrap();
    follower.stop().await;
    assert!(other.file.store.totals(Timestamp::UNIX_EPOCH).await.unwrap().is_empty(), "nor is its spending");

    // Each has its own now; the one of the other store is beside.
    let other = other.restart();
    other.backend.go_away();
    let follower = follow_in(&other, &one).await;
    assert!(other.knows("other").await && !other.knows("one").await);
    follower.stop().await;
    let names: Vec<_> = fs::read_dir(one.file.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let kept: Vec<_> = names.iter().filter(|name| name.to_str().unwrap().starts_with("snapshot.of-")).collect();
    assert_eq!(kept.len(), 1, "{names:?}");
    let kept = one.file.folder.path().join(kept[0]);
    fs::rename(kept, snapshot(&one)).unwrap();
    let one = one.restart();
    one.backend.go_away();
    let _follower = one.follow().await;
    assert!(one.knows("one").await);
    assert_eq!(one.book.unrecorded(), [spend(5)]);
}

#[tokio::test]
async fn two_stores_with_one_last_good_state_are_told_so() {
    let (one, other) = (Scene::new().await, Scene::new().await);
    one.insert("one").await;
    other.insert("other").await;
    let first = follow_in(&one, &one).await;
    first.until(|status| status.is_reachable).await;
    let is_written = async {
        while !snapshot(&one).exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_written).await.unwrap();
    let second = follow_in(&other, &one).await;
    let version = write(&*other.file.backend(), KeyChange::Insert(plain_key("another"))).await;
    assert!(second.wait_until_visible(version).await);
    let is_told = async {
        while !second.is_snapshot_failing() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_told).await.unwrap();
    assert!(!first.is_snapshot_failing());
}

#[tokio::test]
async fn a_store_that_has_moved_has_its_spending_back_when_it_is_found() {
    let file = File::with_tables().await;
    let backend = file.backend();
    let scene = Scene::of(file, backend);
    let follower = scene.follow().await;
    scene.backend.go_away();
    timeout(PATIENCE, follower.until(|status| !status.is_reachable)).await.unwrap();
    scene.book.spend(spend(5));
    follower.stop().await;

    // The same store at another path, and away at first.
    let moved = scene.file.folder.path().join("moved.db");
    fs::rename(scene.file.path(), &moved).unwrap();
    let store = Arc::new(gateway_store::SqliteStore::open(moved.to_str().unwrap()).unwrap());
    let scene = Scene::of(scene.file, Arc::<gateway_store::SqliteStore>::clone(&store));
    scene.backend.go_away();
    let follower = scene.follow().await;
    assert!(scene.book.unrecorded().is_empty(), "nobody knows yet whose it is");
    scene.backend.come_back();
    timeout(PATIENCE, scene.book.noted(spend(5))).await.unwrap();
    follower.stop().await;
    assert_eq!(store.totals(Timestamp::UNIX_EPOCH).await.unwrap(), [spend(5)]);
}
