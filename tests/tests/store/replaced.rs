//! An SQLite file that is taken away, replaced or made while the gateway runs.

use std::fs;

use gateway_tests::administrator::KEYS;
use gateway_tests::database::Database;
use gateway_tests::patience::until;
use gateway_tests::site::{FILED, STORED, Site, bad, good, verdict};
use serde_json::{Value, json};

use crate::outage::until_store_is;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_deleted_loses_no_key_that_was_acknowledged() {
    let database = Database::sqlite();
    let Database::Sqlite(folder) = &database else { unreachable!() };
    let path = folder.path().join("gateway.db");
    let site = Site::new().await.with("DB_URL", &database.url());
    let node = site.start();
    let old = node.admin().create(json!({ "name": "old" })).await;
    node.process.stop();
    let backup = fs::read(&path).unwrap();
    let node = site.start();
    let newer = node.admin().create(json!({ "name": "newer" })).await;

    for end in ["", "-wal", "-shm"] {
        // The log of it goes with the last connection.
        drop(fs::remove_file(folder.path().join(format!("gateway.db{end}"))));
    }
    let answer = node.admin().send("POST", KEYS, r#"{"name":"lost"}"#).await;
    assert_eq!(verdict(&answer), bad(503, "store_unavailable"));
    until_store_is(&node, "unusable, serving the keys known").await;
    let line = node.process.log_line(|line| line.contains("the store cannot be used"));
    assert!(line.contains("ERROR") && line.contains("is not there; put it back"), "{line}");
    assert!(line.contains(path.to_str().unwrap()), "{line}");
    assert_eq!((node.verdict(&old.key).await, node.verdict(&newer.key).await), (good(), good()));
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(503, "store_unavailable"));
    let commands: [&[&str]; 5] = [
        &["keys", "list"],
        &["keys", "create", "--name", "x"],
        &["keys", "revoke", "x"],
        &["migrate", "version"],
        &["migrate", "up"],
    ];
    for command in commands {
        let run = site.run(command);
        assert!(run.code == Some(1) && run.stderr.contains("is not there; put it back"), "{command:?}: {run:?}");
    }
    let beside = site.start();
    assert_eq!(beside.readiness().await.1["store"], "unusable, serving the keys of the last good snapshot");
    assert_eq!(beside.verdict(&old.key).await, good());
    drop(beside);
    assert!(!path.exists(), "nobody begins with an empty store in silence");
    assert_eq!(node.verdict(&old.key).await, good());

    // A backup knows what it knew.
    folder.write("backup", &backup);
    fs::rename(folder.path().join("backup"), &path).unwrap();
    until_store_is(&node, "reachable").await;
    assert_eq!(node.verdict(&old.key).await, good());
    assert_eq!(node.verdict(&newer.key).await, bad(401, "invalid_api_key"));
    let made = node.admin().create(json!({ "name": "made" })).await;
    node.process.stop();
    assert_eq!(site.start().verdict(&made.key).await, good());
}

/// A gateway without an administrator has no store, until the command line makes one.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_the_command_line_makes_is_followed() {
    let mut site = Site::of(&[STORED, FILED].concat()).await;
    site.set("ADMIN_KEY", "");
    let node = site.start();
    assert_eq!(node.readiness().await, (200, json!({ "status": "ready", "store": "none yet" })));
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(401, "invalid_api_key"));
    assert!(!site.folder.path().join("gateway.db").exists());
    let run = site.run(&["keys", "create", "--name", "x", "--id", "x", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let made: Value = serde_json::from_str(&run.stdout).unwrap();
    let key = made["key"].as_str().unwrap();
    let is_good = async || (node.verdict(key).await == good()).then_some(());
    until("the key to work", is_good).await;
    until_store_is(&node, "reachable").await;
    assert_eq!(site.run(&["keys", "revoke", "x"]).code, Some(0));
    let is_refused = async || (node.verdict(key).await == bad(401, "invalid_api_key")).then_some(());
    until("the key to be refused", is_refused).await;
    node.process.stop();
    assert!(!site.folder.path().join("gateway.db-wal").exists());
}
