//! Credentials that are sealed at rest.

use std::fs;

use gateway_tests::database::Database;
use gateway_tests::entries::PROVIDERS;
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site, bad, good, verdict};
use serde_json::json;

use crate::scene::{FILE, KEY, call, left_out, one, provider, received};

const SEALING_KEY: &str = "b5a1f2c3d4e5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";
/// 32 bytes in base64.
const OTHER_KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
const HEADER: &str = "team-value-61ce0f";
const SECRETS: &str = "SELECT coalesce(secrets, 'none') FROM providers WHERE name = 'made'";

struct Sealed {
    site: Site,
    database: Database,
}

impl Sealed {
    async fn on(database: Database) -> Self {
        let config = format!("{FILE}server: {{ state_dir: state }}\n");
        let site = Site::of(&config).await.with("DB_URL", &database.url());
        Self { site, database }
    }

    fn start(&mut self, keys: &str) -> Node {
        self.site.set("STORE_ENCRYPTION_KEY", keys);
        self.site.start()
    }

    async fn make(&self, node: &Node) {
        let mut fields = provider(&self.site.upstream, "made", "m");
        fields["headers"] = json!({ "x-team": HEADER });
        node.admin().post(PROVIDERS, &fields).await;
    }

    async fn assert_used(&self, node: &Node) {
        let request = received(node, &self.site.upstream, "m").await;
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
        assert_eq!(request.header("x-team"), Some(HEADER));
    }

    /// Panics if anything that is on a disk tells a secret. Whoever has the database open may go on.
    async fn assert_hidden(&self) {
        let mut folders = vec![self.site.folder.path().join("state")];
        if let Database::Sqlite(folder) = &self.database {
            folders.push(folder.path().to_owned());
        }
        let mut files = 0;
        for path in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()) {
            let content = fs::read(&path).unwrap();
            for secret in [KEY, HEADER] {
                let is_told = content.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!is_told, "{} tells {secret}", path.display());
            }
            files += 1;
        }
        assert!(files > 0);
        let noted = self.database.text("SELECT coalesce(max(state_after), '') FROM audit_log").await;
        for text in [self.database.text(SECRETS).await, noted] {
            assert!(!text.contains(KEY) && !text.contains(HEADER), "{text}");
        }
    }

    async fn assert_left_out(&self, node: &Node, words: &str) {
        assert_eq!(verdict(&call(node, "m").await), bad(404, "model_not_found"));
        assert_eq!(verdict(&call(node, "filed-1").await), good());
        let all = left_out(node).await;
        assert!(matches!(&all[..], [(name, problem)] if name == "provider made" && problem.contains(words)), "{all:?}");
        let listed = node.admin().get(&one("made")).await;
        assert!(listed["problem"].as_str().is_some_and(|it| it.contains("STORE_ENCRYPTION_KEY")), "{listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_nowhere_in_clear() {
    for database in Database::each() {
        let mut sealed = Sealed::on(database).await;
        let node = sealed.start(SEALING_KEY);
        sealed.make(&node).await;
        sealed.assert_used(&node).await;
        let snapshot = sealed.site.folder.path().join("state/keys.last-good");
        let is_written =
            async || fs::read_to_string(&snapshot).is_ok_and(|text| text.contains("\"made\"")).then_some(());
        until("the last good state", is_written).await;
        // With its log, which holds what is not yet in the file.
        sealed.assert_hidden().await;
        assert!(sealed.database.text(SECRETS).await.starts_with("sealed:v1:"));
        node.process.stop();
        sealed.assert_hidden().await;

        // Without the key it is not lost, and may not be changed by accident.
        for (keys, words) in [("", "there is no STORE_ENCRYPTION_KEY"), (OTHER_KEY, "does not have")] {
            let node = sealed.start(keys);
            sealed.assert_left_out(&node, words).await;
            let answer = node.admin().send("PUT", &one("made"), r#"{"weight":2}"#).await;
            assert_eq!(verdict(&answer), bad(409, "unreadable"), "{}", answer.text());
            node.process.stop();
        }
        let node = sealed.start(SEALING_KEY);
        sealed.assert_used(&node).await;
        assert!(left_out(&node).await.is_empty());
        assert!(!node.process.stop().join("\n").contains(SEALING_KEY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_by_another() {
    for database in Database::each() {
        let mut sealed = Sealed::on(database).await;
        let node = sealed.start(SEALING_KEY);
        sealed.make(&node).await;
        node.process.stop();
        let by_the_first = sealed.database.text(SECRETS).await;
        let node = sealed.start(&format!("{OTHER_KEY}, {SEALING_KEY}"));
        sealed.assert_used(&node).await;
        // Written anew, it is sealed by the first of them.
        node.admin().put(&one("made"), &json!({ "weight": 2 })).await;
        sealed.assert_used(&node).await;
        node.process.stop();
        assert_ne!(sealed.database.text(SECRETS).await, by_the_first);
        let node = sealed.start(OTHER_KEY);
        sealed.assert_used(&node).await;
        sealed.assert_hidden().await;
    }
}

/// What was stored before there was a key is read, and sealed when it is next written. What is moved to another row is not
/// opened there.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_clear_is_sealed_by_the_next_write() {
    for database in Database::each() {
        let mut sealed = Sealed::on(database).await;
        let node = sealed.start("");
        sealed.make(&node).await;
        node.process.stop();
        assert!(sealed.database.text(SECRETS).await.contains(KEY));
        let node = sealed.start(SEALING_KEY);
        sealed.assert_used(&node).await;
        node.admin().put(&one("made"), &json!({ "weight": 2 })).await;
        assert!(sealed.database.text(SECRETS).await.starts_with("sealed:v1:"));
        sealed.assert_used(&node).await;

        let mut thief = provider(&sealed.site.upstream, "thief", "t");
        thief["api_key"] = json!("sk-of-the-thief-4d1b7c90e35f");
        node.admin().post(PROVIDERS, &thief).await;
        let copy =
            "UPDATE providers SET secrets = (SELECT secrets FROM providers WHERE name = 'made') WHERE name = 'thief'";
        sealed.database.execute(copy).await;
        let is_left_out = async || (left_out(&node).await.len() == 1).then_some(());
        until("the thief to be left out", is_left_out).await;
        assert_eq!(verdict(&call(&node, "t").await), bad(404, "model_not_found"));
        node.admin().delete(&one("thief")).await;
        assert!(left_out(&node).await.is_empty());
    }
}

/// Once, and where there is a store.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_that_nothing_is_sealed() {
    let mut site = Site::of(FILE).await;
    for (store, sealing_key, expected) in
        [("sqlite:gateway.db", "", 1), ("sqlite:gateway.db", SEALING_KEY, 0), ("none", "", 0)]
    {
        site.set("DB_URL", store);
        site.set("STORE_ENCRYPTION_KEY", sealing_key);
        let log = site.start().process.stop();
        let told = log.iter().filter(|line| line.contains("STORE_ENCRYPTION_KEY is not set")).count();
        assert_eq!(told, expected, "{store} {sealing_key:?}: {log:?}");
    }
    // The default one is not made without an administrator.
    let mut site = Site::of(FILE).await;
    site.set("ADMIN_KEY", "");
    let log = site.start().process.stop().join("\n");
    assert!(!log.contains("STORE_ENCRYPTION_KEY"), "{log}");
}

#[tokio::test]
async fn a_key_that_is_none_stops_the_start() {
    let mut site = Site::of(FILE).await.with("DB_URL", "sqlite:gateway.db");
    for keys in [
        "geheim",
        "b5a1f2geheim",
        &SEALING_KEY[..62],
        &format!("{SEALING_KEY},geheim"),
        &format!("{OTHER_KEY}{OTHER_KEY}"),
    ] {
        site.set("STORE_ENCRYPTION_KEY", keys);
        let run = site.run(&["serve"]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{keys}: {run:?}");
        for words in ["STORE_ENCRYPTION_KEY", "32 bytes", "openssl rand -hex 32"] {
            assert!(run.stderr.contains(words), "{keys}: no {words:?} in {}", run.stderr);
        }
        for part in ["geheim", "b5a1f2", "q83vEj"] {
            assert!(!run.stderr.contains(part), "{keys}: {}", run.stderr);
        }
    }
}
