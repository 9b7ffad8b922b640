//! Stores that cannot be used, and what is said of them.

use std::fs;

use gateway_tests::database::Database;
use gateway_tests::site::{FILED, STORED, Site, bad, good};
use gateway_tests::stage::CALLER_KEY;
use serde_json::json;

use crate::outage::until_store_is;

const STATE: &str = "server: { state_dir: . }\n";
const LAST_GOOD: &str = "keys.last-good";

/// Panics unless the gateway, and every command that needs the store, refuses with all of these words.
fn assert_refused(site: &Site, row: &str, words: &[&str]) {
    for arguments in [&["serve"][..], &["keys", "create", "--name", "x"], &["migrate", "up"]] {
        let run = site.run(arguments);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{row} {arguments:?}: {run:?}");
        let error = run.stderr.lines().last().unwrap_or_default();
        assert!(error.starts_with("error: "), "{row} {arguments:?}: {}", run.stderr);
        for word in words {
            assert!(error.contains(word), "{row} {arguments:?}: no {word:?} in {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_newer_than_the_program_is_left_alone() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let node = site.start();
        let made = node.admin().create(json!({ "name": "x" })).await;
        node.process.stop();
        let (yes, checksum) = ("TRUE", database.bytes(&[1; 48]));
        database
            .execute(&format!(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', {yes}, {checksum}, 0)"
            ))
            .await;
        assert_refused(&site, database.name(), &["99", "4"]);
        let run = site.run(&["migrate", "down"]);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert_eq!(site.run(&["migrate", "version"]).stdout, "version 99; this program knows 4\n");
        database.execute("DELETE FROM _sqlx_migrations WHERE version = 99").await;
        assert_eq!(site.start().verdict(&made.key).await, good(), "{}: nothing has happened to it", database.name());
    }
}

/// A migration of another program is not this one's, whatever its number.
#[tokio::test(flavor = "multi_thread")]
async fn another_programs_tables_are_left_alone() {
    for database in Database::each() {
        let site = Site::of(&[STORED, STATE].concat()).await.with("DB_URL", &database.url());
        site.start().process.stop();
        let checksum = database.bytes(&[1; 48]);
        database.execute(&format!("UPDATE _sqlx_migrations SET checksum = {checksum} WHERE version = 2")).await;
        // Which would be served for the time being.
        drop(fs::remove_file(site.folder.path().join(LAST_GOOD)));
        assert_refused(&site, database.name(), &["2"]);
    }
}

/// The keys of the last good state are served for the time being, if there is one. A file that is damaged never is.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_and_not_served_from() {
    let database = Database::sqlite();
    let Database::Sqlite(folder) = &database else { unreachable!() };
    let site = Site::of(&[STORED, STATE].concat()).await.with("DB_URL", &database.url());
    let node = site.start();
    let made = node.admin().create(json!({ "name": "x", "metadata": { "a": "x".repeat(500) } })).await;
    node.process.stop();
    let (path, last_good) = (folder.path().join("gateway.db"), site.folder.path().join(LAST_GOOD));
    assert!(!folder.path().join("gateway.db-wal").exists(), "all of it is in the one file");
    let (sound, state) = (fs::read(&path).unwrap(), fs::read(&last_good).unwrap());
    let mut overwritten = sound.clone();
    overwritten[3 * 4096..].fill(0xA5);
    for (row, content) in [
        ("no database at all", b"This is a letter to my mother. ".repeat(300)),
        ("a head that is overwritten", [&[0xA5; 100], &sound[100..]].concat()),
        ("pages that are overwritten", overwritten),
        ("a file that was cut off", sound[..sound.len() / 2].to_vec()),
    ] {
        fs::write(&path, &content).unwrap();
        fs::remove_file(&last_good).unwrap();
        let run = site.run(&["serve"]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{row}: {run:?}");
        let error = run.stderr.lines().last().unwrap_or_default();
        assert!(error.starts_with("error: store: ") && error.contains("damaged"), "{row}: {}", run.stderr);
        assert!(error.contains(path.to_str().unwrap()) && error.contains("put a sound copy"), "{row}: {}", run.stderr);
        // Nobody repairs what he does not understand.
        assert_eq!(fs::read(&path).unwrap(), content, "{row}");

        fs::write(&last_good, &state).unwrap();
        let node = site.start();
        let line = node.process.log_line(|line| line.contains("the store cannot be used"));
        assert!(line.contains("ERROR") && line.contains(path.to_str().unwrap()), "{row}: {line}");
        let expected = json!({ "status": "ready", "store": "unusable, serving the keys of the last good snapshot" });
        assert_eq!(node.readiness().await, (200, expected), "{row}");
        assert_eq!(node.verdict(&made.key).await, good(), "{row}");
        assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(503, "store_unavailable"), "{row}");
        // A sound copy is taken as soon as it is there.
        folder.write("sound", &sound);
        fs::rename(folder.path().join("sound"), &path).unwrap();
        until_store_is(&node, "reachable").await;
        assert_eq!((node.verdict(&made.key).await, node.admin().list().await.len()), (good(), 1), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_a_new_store() {
    let database = Database::sqlite();
    let Database::Sqlite(folder) = &database else { unreachable!() };
    folder.write("gateway.db", "");
    let site = Site::new().await.with("DB_URL", &database.url());
    let node = site.start();
    let made = node.admin().create(json!({ "name": "x" })).await;
    assert_eq!(node.verdict(&made.key).await, good());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_where_no_file_can_be_is_named() {
    let mut site = Site::new().await;
    for (url, words) in [
        ("sqlite:nowhere/gateway.db", &["store.url", "nowhere", "does not exist"][..]),
        // Where nobody writes, not even root.
        ("sqlite:/sys/gateway.db", &["store.url", "/sys/gateway.db", "cannot be opened"]),
        ("sqlite:.", &["store.url", "cannot be opened"]),
        ("sqlite:config.yaml/gateway.db", &["store.url", "config.yaml"]),
    ] {
        site.set("DB_URL", url);
        assert_refused(&site, url, words);
    }
    for (url, words) in [
        ("sqlite::memory:", "cannot be kept in memory"),
        ("sqlite:gateway.db?mode=rwc", "without `?`"),
        ("sqlite:file:gateway.db", "without `file:`"),
    ] {
        site.set("DB_URL", url);
        let run = site.run(&["serve"]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{url}: {run:?}");
        assert!(run.stderr.contains("store.url") && run.stderr.contains(words), "{url}: {}", run.stderr);
        assert_eq!(site.folder.files().len(), 1, "{url}: nothing but the configuration");
    }
    for url in ["sqlite:", "mysql://u:geheim@h/d", "geheim", "postgres://", "/var/geheim.db"] {
        site.set("DB_URL", url);
        let run = site.run(&["serve"]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{url}: {run:?}");
        assert!(run.stderr.contains("store.url") && !run.stderr.contains("geheim"), "{url}: {}", run.stderr);
    }
}

/// A database that says no may say yes later: it is asked again for ever, and what is said of it holds no password.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_is_waited_for() {
    let Some(Database::Postgres(url)) = Database::postgres() else { return };
    let wrong_password = url.replace("for-tests-only", "geheim-4711");
    let wrong_name = format!("{url}_that_is_not_there");
    let wrong_port = url.rsplit_once(':').map(|(start, _)| format!("{start}:9/none")).unwrap();
    for url in [wrong_password, wrong_name, wrong_port] {
        let site = Site::of(&[STORED, FILED].concat()).await.with("DB_URL", &url);
        let node = site.start();
        let line = node.process.log_line(|line| line.contains("the store cannot be reached"));
        assert_eq!(node.readiness().await.0, 503, "{line}");
        assert_eq!(node.verdict("sk-gw-nobody").await, bad(503, "store_unavailable"));
        assert_eq!(node.verdict(CALLER_KEY).await, good());
        let log = [line, node.process.stop().join("\n")].concat();
        assert!(!log.contains("geheim") && !log.contains("for-tests-only"), "{log}");
        let run = site.run(&["keys", "list"]);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(!run.stderr.contains("geheim") && !run.stderr.contains("for-tests-only"), "{run:?}");
    }
}
