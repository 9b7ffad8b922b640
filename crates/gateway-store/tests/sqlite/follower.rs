//! Memory is in step with the store, whatever becomes of the store.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{KeyChange, KeyDirectory, KeyStore, Ledger, StoreError};
use gateway_ratelimit::{BudgetPeriod, BudgetWindow, NanoUsd, Spend};
use gateway_secret::{KeyDigest, KeyDigester};
use gateway_store::{Backend, Follower, Following, LoadedFrom};
use gateway_testing::store_conformance::{Subject, plain_key, write};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::book::Book;
use crate::file::{File, hex};
use crate::shelf::Shelf;
use crate::unsteady::Unsteady;

/// How long anything may take. It is there so that a test ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A store in a file, what stands between it and the follower, and the follower's other sides.
pub(crate) struct Scene {
    pub(crate) file: File,
    pub(crate) backend: Arc<Unsteady>,
    directory: Arc<KeyDirectory>,
    pub(crate) book: Arc<Book>,
    pub(crate) shelf: Arc<Shelf>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let file = File::with_tables().await;
        let backend = file.backend();
        Self::of(file, backend)
    }

    /// A follower of this store, which is in this file.
    pub(crate) fn of(file: File, backend: Arc<dyn Backend>) -> Self {
        let backend = Arc::new(Unsteady::new(backend));
        Self { file, backend, directory: Arc::default(), book: Arc::default(), shelf: Arc::default() }
    }

    pub(crate) fn following(&self) -> Following {
        Following {
            backend: Arc::<Unsteady>::clone(&self.backend),
            directory: Arc::clone(&self.directory),
            settings: Arc::<Shelf>::clone(&self.shelf),
            spending: Arc::<Book>::clone(&self.book),
            snapshot: Some(self.file.folder.path().join("snapshot")),
            digester: KeyDigester::default(),
            remedy: "mend it".to_owned(),
        }
    }

    pub(crate) async fn follow(&self) -> Follower {
        Follower::start(self.following()).await.unwrap()
    }

    pub(crate) async fn knows(&self, id: &str) -> bool {
        self.directory.find(&KeyDigest::of(id.as_bytes())).await.is_ok_and(|key| key.is_some())
    }

    /// The same file, followed by another process.
    pub(crate) fn restart(self) -> Self {
        let backend = self.file.backend();
        Self::of(self.file, backend)
    }

    pub(crate) async fn insert(&self, id: &str) -> gateway_keystore::Version {
        write(&*self.file.backend(), KeyChange::Insert(plain_key(id))).await
    }
}

/// Waits until a follower's status is as wanted.
macro_rules! wait_until {
    ($follower:expr, $wanted:expr) => {
        timeout(PATIENCE, $follower.until($wanted)).await.unwrap()
    };
}

#[tokio::test]
async fn a_change_by_another_process_is_live_without_being_told() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    let follower = scene.follow().await;
    timeout(PATIENCE, follower.ready()).await.unwrap();
    let before = follower.status();
    assert!(before.is_reachable && before.loaded_from == LoadedFrom::Store && before.last_error.is_none());
    assert!(scene.knows("first").await && !scene.knows("second").await);

    let sql = format!("INSERT INTO master_keys (id, name, digest) VALUES ('second', 'by hand', x'{}')", hex("second"));
    scene.file.execute(&sql).await;
    wait_until!(follower, |status| status.position.version > before.position.version);
    assert!(scene.knows("first").await && scene.knows("second").await);
    let before = follower.status();
    scene.file.execute("DELETE FROM master_keys WHERE id = 'first'").await;
    wait_until!(follower, |status| status.position.version > before.position.version);
    assert!(!scene.knows("first").await && scene.knows("second").await);
}

#[tokio::test]
async fn a_change_by_this_node_is_seen_when_it_is_asked_for() {
    let scene = Scene::new().await;
    let follower = scene.follow().await;
    for number in 0..5 {
        let id = format!("key {number}");
        let version = scene.insert(&id).await;
        assert!(follower.wait_until_visible(version).await);
        assert!(scene.knows(&id).await);
    }
    let future = gateway_keystore::Version(i64::MAX);
    assert!(!follower.wait_until_visible(future).await, "what never comes is not waited for");
}

#[tokio::test]
async fn while_the_store_is_away_what_is_known_goes_on_working() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    let follower = scene.follow().await;
    scene.backend.go_away();
    wait_until!(follower, |status| !status.is_reachable);
    assert!(scene.knows("first").await);
    let unknown = scene.directory.find(&KeyDigest::of(b"second")).await;
    assert!(unknown.is_err(), "it may exist");
    assert!(follower.status().last_error.unwrap().contains("gone away"));
    assert_eq!(follower.status().loaded_from, LoadedFrom::Store);

    scene.insert("second").await;
    scene.backend.come_back();
    wait_until!(follower, |status| status.is_reachable);
    assert!(scene.knows("first").await && scene.knows("second").await);
    assert!(scene.directory.find(&KeyDigest::of(b"third")).await.unwrap().is_none());
    assert_eq!(follower.status().last_error, None);
}

#[tokio::test]
async fn without_the_store_a_start_takes_the_last_good_state() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    scene.follow().await.stop().await;

    let scene = scene.restart();
    scene.backend.go_away();
    let follower = scene.follow().await;
    timeout(PATIENCE, follower.ready()).await.unwrap();
    let status = follower.status();
    assert_eq!((status.is_reachable, status.loaded_from), (false, LoadedFrom::Snapshot));
    assert!(scene.knows("first").await);
    assert!(scene.directory.find(&KeyDigest::of(b"second")).await.is_err());

    // The store has changed meanwhile, and has the last word.
    write(&*scene.file.backend(), KeyChange::Remove("first".into())).await;
    scene.insert("second").await;
    scene.backend.come_back();
    wait_until!(follower, |status| status.loaded_from == LoadedFrom::Store);
    assert!(!scene.knows("first").await && scene.knows("second").await);
}

#[tokio::test]
async fn without_the_store_and_without_a_last_good_state_a_start_waits() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    fs::write(scene.file.folder.path().join("snapshot"), "{\"format\":1,\"version\":1,\"keys\":2}\n").unwrap();
    scene.backend.go_away();
    let follower = scene.follow().await;
    assert_eq!(follower.status().loaded_from, LoadedFrom::Nothing, "half a state is none");
    assert!(!scene.directory.is_loaded());
    scene.backend.come_back();
    timeout(PATIENCE, follower.ready()).await.unwrap();
    assert!(scene.knows("first").await);
}

#[tokio::test]
async fn a_store_that_is_too_new_or_damaged_ends_the_start() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    let snapshot = scene.file.folder.path().join("snapshot");
    let start = async || Follower::start(scene.following()).await.map(drop);
    scene.file.execute("INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, 0 FROM _sqlx_migrations LIMIT 1").await;
    assert!(matches!(start().await, Err(StoreError::TooNew { found: 99, .. })));
    scene.file.execute("DELETE FROM _sqlx_migrations WHERE version = 99").await;
    scene.follow().await.stop().await;
    scene.file.execute("INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, 0 FROM _sqlx_migrations LIMIT 1").await;
    assert!(matches!(start().await, Err(StoreError::TooNew { .. })), "also with a last good state");
    scene.file.execute("DELETE FROM _sqlx_migrations WHERE version = 99; DELETE FROM config_version").await;
    let last_good = fs::read(&snapshot).unwrap();
    fs::remove_file(&snapshot).unwrap();
    assert!(matches!(start().await, Err(StoreError::Damaged { .. })));

    fs::write(&snapshot, last_good).unwrap();
    let follower = scene.follow().await;
    let status = follower.status();
    assert!(status.needs_attention && status.loaded_from == LoadedFrom::Snapshot && scene.knows("first").await);
    assert!(status.last_error.unwrap().ends_with("mend it"));
    scene.file.execute("INSERT INTO config_version (version) VALUES (9)").await;
    wait_until!(follower, |status| status.loaded_from == LoadedFrom::Store && !status.needs_attention);
}

#[tokio::test]
async fn rows_that_make_no_sense_are_left_out_and_come_back_mended() {
    let scene = Scene::new().await;
    scene.insert("good").await;
    scene.insert("unreadable").await;
    scene.insert("senseless").await;
    let follower = scene.follow().await;
    assert!(scene.knows("unreadable").await && scene.knows("senseless").await);
    let before = follower.status();
    let faults = r#"
        UPDATE master_keys SET allowed_models = 'nonsense' WHERE id = 'unreadable';
        UPDATE master_keys SET rate_limit = '{"period_seconds":5}' WHERE id = 'senseless'"#;
    scene.file.execute(faults).await;
    wait_until!(follower, |status| status.position.version.0 == before.position.version.0 + 2);
    assert!(scene.knows("good").await && !scene.knows("unreadable").await && !scene.knows("senseless").await);
    scene.file.execute("UPDATE master_keys SET allowed_models = '[]', rate_limit = NULL").await;
    wait_until!(follower, |status| status.position.version.0 == before.position.version.0 + 5);
    assert!(scene.knows("unreadable").await && scene.knows("senseless").await);
}

#[tokio::test]
async fn what_is_spent_is_recorded_and_comes_back_with_the_rest() {
    let scene = Scene::new().await;
    let window = BudgetWindow { period: BudgetPeriod::Total, start: Timestamp::UNIX_EPOCH };
    let spend = |amount| Spend { account: "account".into(), window, amount: NanoUsd(amount) };
    scene.file.store.spend(&[spend(10)]).await.unwrap();

    let follower = scene.follow().await;
    assert_eq!(scene.book.totals(), [spend(10)], "before the first call is answered");
    scene.book.spend(spend(5));
    timeout(PATIENCE, scene.book.noted(spend(15))).await.unwrap();

    // What cannot be recorded is kept, and recorded when it can be.
    scene.backend.go_away();
    wait_until!(follower, |status| !status.is_reachable);
    scene.book.spend(spend(1));
    scene.backend.come_back();
    timeout(PATIENCE, scene.book.noted(spend(16))).await.unwrap();

    scene.book.spend(spend(4));
    follower.stop().await;
    let totals = scene.file.store.totals(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(totals[0].amount, NanoUsd(20), "a node that stops forgets nothing");
}

#[tokio::test]
async fn what_the_store_refuses_to_record_is_put_back() {
    let scene = Scene::new().await;
    let window = BudgetWindow { period: BudgetPeriod::Total, start: Timestamp::UNIX_EPOCH };
    let spend = || Spend { account: "account".into(), window, amount: NanoUsd(7) };
    let _follower = scene.follow().await;
    // Reachable, but it takes no money.
    scene.backend.refuse_spending();
    scene.book.spend(spend());
    timeout(PATIENCE, scene.book.was_put_back()).await.unwrap();
    scene.backend.come_back();
    timeout(PATIENCE, scene.book.noted(spend())).await.unwrap();
}

#[tokio::test]
async fn what_was_revoked_stays_so_whenever_the_process_ends() {
    let scene = Scene::new().await;
    scene.insert("first").await;
    scene.insert("second").await;
    let follower = scene.follow().await;
    // Of what was never written nothing is known.
    let is_written = async {
        while !scene.file.folder.path().join("snapshot").exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_written).await.unwrap();
    let version = write(&*scene.file.backend(), KeyChange::Remove("first".into())).await;
    assert!(follower.wait_until_visible(version).await);
    // Nothing is tidied up, as when it is killed.
    drop(follower);

    let scene = scene.restart();
    scene.backend.go_away();
    let _follower = scene.follow().await;
    assert!(!scene.knows("first").await && scene.knows("second").await);
}

#[tokio::test]
async fn what_is_spent_while_the_store_says_nothing_outlives_the_process() {
    let scene = Scene::new().await;
    let window = BudgetWindow { period: BudgetPeriod::Total, start: Timestamp::UNIX_EPOCH };
    let spend = |amount| Spend { account: "account".into(), window, amount: NanoUsd(amount) };
    let follower = scene.follow().await;
    scene.backend.be_silent();
    scene.book.spend(spend(5));
    let is_asked = async {
        while !scene.book.unrecorded().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, is_asked).await.unwrap();
    // Comes while the store is waited for.
    scene.book.spend(spend(2));
    follower.stop().await;

    let scene = scene.restart();
    scene.backend.go_away();
    let _follower = scene.follow().await;
    assert_eq!(scene.book.unrecorded(), [spend(7)]);
}

#[tokio::test]
async fn what_is_spent_while_the_store_is_away_outlives_the_process() {
    let scene = Scene::new().await;
    let window = BudgetWindow { period: BudgetPeriod::Total, start: Timestamp::UNIX_EPOCH };
    let spend = |amount| Spend { account: "account".into(), window, amount: NanoUsd(amount) };
    let follower = scene.follow().await;
    scene.book.spend(spend(5));
    timeout(PATIENCE, scene.book.noted(spend(5))).await.unwrap();
    scene.backend.go_away();
    wait_until!(follower, |status| !status.is_reachable);
    scene.book.spend(spend(2));
    follower.stop().await;

    let scene = scene.restart();
    scene.backend.go_away();
    let follower = scene.follow().await;
    assert_eq!(scene.book.totals(), [spend(5)]);
    assert_eq!(scene.book.unrecorded(), [spend(2)]);
    // Again and again it is carried on, and recorded once.
    follower.stop().await;
    let scene = scene.restart();
    scene.backend.go_away();
    let follower = scene.follow().await;
    scene.backend.come_back();
    timeout(PATIENCE, scene.book.noted(spend(7))).await.unwrap();
    follower.stop().await;
    let scene = scene.restart();
    let _follower = scene.follow().await;
    assert_eq!((scene.book.totals(), scene.book.unrecorded()), (vec![spend(7)], vec![]));
}

#[tokio::test]
async fn a_follower_that_fails_is_noticed() {
    let scene = Scene::new().await;
    let follower = scene.follow().await;
    scene.backend.be_fatal();
    let problem = timeout(PATIENCE, follower.failed()).await.unwrap();
    assert!(problem.contains("panicked"), "{problem}");
    let version = follower.status().position.version;
    follower.stop().await;
    assert_eq!(follower.status().position.version, version);

    let scene = Scene::new().await;
    let follower = scene.follow().await;
    let (ended, ()) = tokio::join!(timeout(Duration::ZERO, follower.failed()), follower.stop());
    assert!(ended.is_err(), "one that was told to stop has not failed");
}

#[tokio::test]
async fn it_is_noted_when_keys_were_used() {
    let scene = Scene::new().await;
    scene.insert("used").await;
    scene.insert("unused").await;
    let follower = scene.follow().await;
    let start = Timestamp::now();
    assert!(scene.knows("used").await);
    follower.stop().await;
    let last_used = async |id| scene.file.backend().key(id).await.unwrap().unwrap().last_used_at;
    let noted = last_used("used").await.unwrap();
    assert!(noted.as_microsecond() >= start.as_microsecond());
    assert_eq!(last_used("unused").await, None);
}

#[tokio::test]
async fn the_last_good_state_is_for_nobody_elses_eyes_and_holds_no_key() {
    let scene = Scene::new().await;
    scene.insert("sk-secret-value").await;
    scene.follow().await.stop().await;
    let path = scene.file.folder.path().join("snapshot");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(&hex("sk-secret-value")));
    assert_eq!(text.lines().count(), 3, "a head, the key, and the version");
    let beside = fs::read_dir(scene.file.folder.path()).unwrap();
    let beside = beside.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("snapshot"));
    assert_eq!(beside.count(), 1, "nothing half written is left");
}
