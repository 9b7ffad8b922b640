//! The server dies and returns, or the network does.

use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{Action, KeyChange, KeyDirectory, KeyRepository, KeyStore, StoreError, StoredSettings};
use gateway_ratelimit::LocalLimits;
use gateway_secret::{KeyDigest, KeyDigester};
use gateway_store::{Backend, Follower, Following, LoadedFrom, SettingsBook};
use gateway_store_postgres::PostgresStore;
use gateway_testing::PostgresServer;
use gateway_testing::store_conformance::{note, plain_key, write};
use tokio::time::{Instant, timeout};

use crate::database::{Database, server, store};
use crate::proxy::Proxy;

/// How long anything may take. It is there so that a test ends.
const PATIENCE: Duration = Duration::from_secs(30);

struct Untold;

impl SettingsBook for Untold {
    fn take(&self, _: StoredSettings) {}
}

struct Scene {
    store: Arc<PostgresStore>,
    directory: Arc<KeyDirectory>,
    follower: Follower,
}

impl Scene {
    async fn new(url: &str, snapshot: Option<&std::path::Path>) -> Self {
        let store = Arc::new(store(url));
        let directory = Arc::new(KeyDirectory::default());
        let follower = Follower::start(Following {
            backend: Arc::<PostgresStore>::clone(&store),
            directory: Arc::clone(&directory),
            settings: Arc::new(Untold),
            spending: Arc::new(LocalLimits::new(Instant::now().into_std())),
            snapshot: snapshot.map(Into::into),
            digester: KeyDigester::default(),
            remedy: String::new(),
        });
        let follower = timeout(PATIENCE, follower).await.unwrap().unwrap();
        Self { store, directory, follower }
    }

    async fn insert(&self, id: &str) -> gateway_keystore::Version {
        write(&*self.store as &dyn Backend, KeyChange::Insert(plain_key(id))).await
    }

    async fn knows(&self, id: &str) -> bool {
        self.directory.find(&KeyDigest::of(id.as_bytes())).await.is_ok_and(|key| key.is_some())
    }

    async fn can_deny(&self) -> bool {
        self.directory.find(&KeyDigest::of(b"nobody's key")).await.is_ok()
    }

    async fn until_reachable(&self, is_reachable: bool) {
        timeout(PATIENCE, self.follower.until(|status| status.is_reachable == is_reachable)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_known_goes_on_working_while_the_server_is_down() {
    let Some(mut server) = PostgresServer::start() else { return };
    let scene = Scene::new(&server.url(), None).await;
    let version = scene.insert("first").await;
    assert!(scene.follower.wait_until_visible(version).await);
    for round in 0..2 {
        server.stop();
        scene.until_reachable(false).await;
        assert!(scene.knows("first").await && !scene.can_deny().await);
        let error = scene.store.write(&KeyChange::Insert(plain_key("late")), &note(Action::CreateKey, "late")).await;
        assert!(matches!(error, Err(StoreError::Unavailable { .. })), "{error:?}");

        server.start_again();
        scene.until_reachable(true).await;
        assert!(scene.knows("first").await && scene.can_deny().await, "what was acknowledged is still there");
        let id = format!("after outage {round}");
        let version = scene.insert(&id).await;
        assert!(scene.follower.wait_until_visible(version).await);
        assert!(scene.knows(&id).await);
    }
}

#[tokio::test]
async fn a_start_without_the_server_takes_the_last_good_state() {
    let Some(mut server) = PostgresServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("keys");
    let before = Scene::new(&server.url(), Some(&snapshot)).await;
    let version = before.insert("first").await;
    assert!(before.follower.wait_until_visible(version).await);
    before.follower.stop().await;
    server.stop();

    let scene = Scene::new(&server.url(), Some(&snapshot)).await;
    let status = scene.follower.status();
    assert_eq!((status.loaded_from, status.position.version), (LoadedFrom::Snapshot, version));
    assert!(scene.knows("first").await && !scene.can_deny().await);
    server.start_again();
    timeout(PATIENCE, scene.follower.until(|status| status.loaded_from == LoadedFrom::Store)).await.unwrap();
    assert!(scene.knows("first").await && scene.can_deny().await);
}

#[tokio::test]
async fn a_change_by_hand_is_live_on_every_node() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let nodes = [Scene::new(&database.url, None).await, Scene::new(&database.url, None).await];
    nodes[0].insert("key").await;
    for node in &nodes {
        timeout(PATIENCE, node.follower.until(|status| status.position.version.0 == 1)).await.unwrap();
        assert!(node.knows("key").await);
    }
    server.execute(&database.url, "DELETE FROM master_keys");
    for node in &nodes {
        timeout(PATIENCE, node.follower.until(|status| status.position.version.0 == 2)).await.unwrap();
        assert!(!node.knows("key").await);
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_and_survived() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let port = server.url().rsplit_once(':').unwrap().1.split_once('/').unwrap().0.parse().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await;
    let scene = Scene::new(&proxy.url(&database.url), None).await;
    let version = scene.insert("first").await;
    assert!(scene.follower.wait_until_visible(version).await);

    // Nothing is closed and nothing refused; from here on only clocks can tell.
    proxy.swallow();
    tokio::time::pause();
    scene.until_reachable(false).await;
    assert!(scene.knows("first").await && !scene.can_deny().await);
    proxy.pass_on();
    tokio::time::resume();
    scene.until_reachable(true).await;
    server.execute(&database.url, "DELETE FROM master_keys");
    timeout(PATIENCE, scene.follower.until(|status| status.position.version > version)).await.unwrap();
    assert!(!scene.knows("first").await);
}
