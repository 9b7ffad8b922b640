//! `keys list`: for people, and for programs.

use gateway_testing::Folder;
use gateway_tests::stage::CALLER_KEY;
use serde_json::json;

use crate::create::{list, printed, word};

const FILE: &str = r#"
master_keys:
  - { name: filed, key: "${CALLER_KEY}", rate_limit: { requests_per_minute: 7 } }
"#;

#[test]
fn an_empty_folder_has_no_keys() {
    let folder = Folder::empty();
    let run = folder.run(&["keys", "list"], &[]);
    assert_eq!((run.code, run.stdout.lines().count(), &*run.stderr), (Some(0), 1, ""), "{run:?}");
    assert!(run.stdout.starts_with("ID "), "{run:?}");
    assert!(list(&folder).is_empty() && folder.files().is_empty());
}

#[test]
fn keys_of_the_file_are_listed_behind_those_of_the_store() {
    let folder = Folder::with_config(FILE);
    let environment = [("CALLER_KEY", CALLER_KEY)];
    folder.run(&["keys", "create", "--name", "stored", "--id", "zz", "--disabled"], &environment);
    let run = folder.run(&["keys", "list"], &environment);
    let rows: Vec<Vec<_>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["ID", "NAME", "KEY", "STATE"], "{run:?}");
    assert_eq!((&rows[1][..2], rows[1][3], rows[1].last()), (&["zz", "stored"][..], "disabled", Some(&"store")));
    assert_eq!((&rows[2][..2], rows[2][3], rows[2].last()), (&["filed", "filed"][..], "enabled", Some(&"file")));
    assert_eq!(rows[2][4], "7/min", "{run:?}");
    assert!(!run.stdout.contains(CALLER_KEY), "{run:?}");
    let keys = printed(&folder.run(&["keys", "list", "--json"], &environment));
    assert_eq!(keys.as_array().unwrap().iter().map(|key| &key["source"]).collect::<Vec<_>>(), ["store", "file"]);
    // They are not the shell's to change.
    for arguments in [["keys", "revoke", "filed"], ["keys", "rotate", "filed"]] {
        let run = folder.run(&arguments, &environment);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{run:?}");
        assert!(run.stderr.contains("configuration file"), "{run:?}");
    }
}

/// A page of the Admin API holds a thousand.
#[test]
fn all_of_many_keys_are_listed() {
    let folder = Folder::empty();
    folder.run(&["migrate", "up"], &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = gateway_tests::database::Database::Sqlite(folder.clone());
    runtime.block_on(database.execute(
        "INSERT INTO master_keys (id, name, digest) WITH RECURSIVE n(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT 'key_' || i, 'x', randomblob(32) FROM n",
    ));
    let keys = list(&folder);
    let ids: std::collections::BTreeSet<_> = keys.iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((keys.len(), ids.len()), (2500, 2500));
    assert_eq!(folder.run(&["keys", "list"], &[]).stdout.lines().count(), 2501);
}

/// A name may hold what a terminal obeys, if somebody has put it there by hand.
#[test]
fn nothing_in_a_table_moves_the_cursor() {
    let folder = Folder::empty();
    let id = word(&folder.run(&["keys", "create", "--name", "x"], &[]), "id");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = gateway_tests::database::Database::Sqlite(folder.clone());
    runtime.block_on(database.execute("UPDATE master_keys SET name = 'a' || char(27) || '[2J' || char(10) || 'b'"));
    let run = folder.run(&["keys", "list"], &[]);
    assert_eq!((run.code, run.stdout.lines().count()), (Some(0), 2), "{run:?}");
    assert!(!run.stdout.contains('\u{1b}') && run.stdout.contains(&id), "{run:?}");
    assert_eq!(list(&folder)[0]["name"], json!("a\u{1b}[2J\nb"));
}
