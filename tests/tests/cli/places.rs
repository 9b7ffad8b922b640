//! Which store a command works on.

use gateway_testing::Folder;
use gateway_tests::database::Database;

use crate::create::{printed, word};

const COMMANDS: [&[&str]; 8] = [
    &["keys", "create", "--name", "x"],
    &["keys", "list"],
    &["keys", "rotate", "x"],
    &["keys", "revoke", "x"],
    &["migrate", "up"],
    &["migrate", "down"],
    &["migrate", "version"],
    &["usage"],
];

#[test]
fn without_a_store_it_is_said_how_to_have_one() {
    let folder = Folder::empty();
    for arguments in COMMANDS {
        let run = folder.run(arguments, &[("DB_URL", "none")]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{arguments:?}: {run:?}");
        for words in ["error: store.url is `none`", "DB_URL", "sqlite:", "postgresql://"] {
            assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
        }
    }
    assert!(folder.files().is_empty());
}

#[test]
fn every_kind_of_store_does() {
    for database in Database::each() {
        let folder = Folder::empty();
        let url = database.url();
        let run = |arguments: &[&str]| folder.run(arguments, &[("DB_URL", &url)]);
        let key = word(&run(&["keys", "create", "--name", "x", "--id", "team"]), "key");
        let newer = word(&run(&["keys", "rotate", "team"]), "key");
        assert_ne!(key, newer, "{}", database.name());
        let listed = printed(&run(&["keys", "list", "--json"]));
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &"team".into()), "{}", database.name());
        assert_eq!(run(&["migrate", "version"]).stdout, "version 4; this program knows 4\n");
        assert_eq!(run(&["keys", "revoke", "team"]).stdout, "revoked team\n");
        assert_eq!(printed(&run(&["keys", "list", "--json"])), serde_json::json!([]));
        assert!(folder.files().is_empty(), "{}: {:?}", database.name(), folder.files());
    }
}

/// The variable goes before the file, as everywhere.
#[test]
fn the_configuration_says_where() {
    let folder = Folder::with_config("store: { url: \"sqlite:other.db\" }\n");
    assert_eq!(folder.run(&["keys", "create", "--name", "x"], &[]).code, Some(0));
    assert!(folder.path().join("other.db").exists() && !folder.path().join("gateway.db").exists());
    assert_eq!(folder.run(&["migrate", "up"], &[("DB_URL", "sqlite:third.db")]).code, Some(0));
    assert!(folder.path().join("third.db").exists());
    folder.write("elsewhere.yaml", "store: { url: \"sqlite:fourth.db\" }\n");
    // What only reads makes no store.
    assert_eq!(folder.run(&["keys", "list", "--config", "elsewhere.yaml"], &[]).code, Some(0));
    for command in [["migrate", "down"], ["migrate", "version"]] {
        let run = folder.run(&[&command[..], &["--config", "elsewhere.yaml"]].concat(), &[]);
        assert!(run.code == Some(1) && run.stderr.contains("fourth.db is not there"), "{command:?}: {run:?}");
    }
    assert!(!folder.path().join("fourth.db").exists());
    assert_eq!(folder.run(&["keys", "create", "--name", "x", "--config", "elsewhere.yaml"], &[]).code, Some(0));
    assert!(folder.path().join("fourth.db").exists());
}

/// A database that is away is told of after a moment, without its password.
#[test]
fn a_store_that_is_away_is_told_of() {
    let folder = Folder::empty();
    let url = "postgres://user:geheim-4711@127.0.0.1:9/gateway";
    for arguments in COMMANDS {
        let run = folder.run(arguments, &[("DB_URL", url)]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains("the store cannot be reached"), "{arguments:?}: {}", run.stderr);
        assert!(!run.stderr.contains("geheim"), "{arguments:?}: {}", run.stderr);
    }
}
