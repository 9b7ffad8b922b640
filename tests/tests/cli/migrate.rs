//! `migrate`: the tables, one migration after the other.

use gateway_testing::Folder;
use gateway_tests::database::Database;
use gateway_tests::patience::until;
use gateway_tests::site::{Site, bad, good};
use serde_json::json;

#[test]
fn migrations_are_made_and_undone() {
    for database in Database::each() {
        let (folder, url) = (Folder::empty(), database.url());
        for (command, expected) in [
            ("up", "from version 0 to 4"),
            ("version", "version 4; this program knows 4"),
            ("up", "from version 4 to 4"),
            ("down", "from version 4 to 3"),
            ("version", "version 3; this program knows 4"),
            ("up", "from version 3 to 4"),
            ("down", "from version 4 to 3"),
            ("down", "from version 3 to 2"),
            ("down", "from version 2 to 1"),
            ("down", "from version 1 to 0"),
            ("version", "version 0; this program knows 4"),
            ("down", "from version 0 to 0"),
            ("up", "from version 0 to 4"),
        ] {
            let run = folder.run(&["migrate", command], &[("DB_URL", &url)]);
            let printed = (run.code, run.stdout.trim_end(), &*run.stderr);
            assert_eq!(printed, (Some(0), expected, ""), "{} {command}", database.name());
        }
        assert_eq!(folder.run(&["keys", "create", "--name", "x"], &[("DB_URL", &url)]).code, Some(0));
    }
}

/// Keys are in the first migration, so that undoing the others leaves them.
#[tokio::test(flavor = "multi_thread")]
async fn keys_survive_the_undoing_of_another_migration() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let node = site.start();
        let made = node.admin().create(json!({ "id": "team", "name": "x" })).await;
        node.process.stop();
        assert_eq!(site.run(&["migrate", "down"]).stdout, "from version 4 to 3\n");
        assert_eq!(site.run(&["migrate", "down"]).stdout, "from version 3 to 2\n");
        assert_eq!(site.run(&["migrate", "down"]).stdout, "from version 2 to 1\n");
        // A gateway that starts makes the missing migrations by itself.
        let node = site.start();
        assert_eq!(node.verdict(&made.key).await, good(), "{}", database.name());
        assert_eq!(site.run(&["migrate", "version"]).stdout, "version 4; this program knows 4\n");
        for _ in 0..4 {
            assert_eq!(site.run(&["migrate", "down"]).code, Some(0), "{}", database.name());
        }
        // Nobody has taken the keys from the gateway that runs.
        assert_eq!(node.verdict(&made.key).await, good(), "{}", database.name());
        node.process.stop();
        assert_eq!(site.start().verdict(&made.key).await, bad(401, "invalid_api_key"), "{}", database.name());
    }
}

/// Many may do it at once; one does it.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_made_once() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let codes: Vec<_> = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| site.run(&["migrate", "up"]))).collect();
                runs.into_iter().map(|run| run.join().unwrap()).collect()
            })
        });
        for run in codes {
            assert!(run.code == Some(0) && run.stdout.ends_with("to 4\n"), "{}: {run:?}", database.name());
        }
        let node = site.start();
        let made = node.admin().create(json!({ "name": "x" })).await;
        until("the key", async || (node.verdict(&made.key).await == good()).then_some(())).await;
    }
}
