//! `keys rotate` and `keys revoke`.

use gateway_testing::Folder;

use crate::create::{list, printed, word};

#[test]
fn a_rotated_key_is_printed_like_a_new_one() {
    let folder = Folder::empty();
    let old = word(&folder.run(&["keys", "create", "--name", "x", "--id", "team"], &[]), "key");
    let run = folder.run(&["keys", "rotate", "team"], &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let new = word(&run, "key");
    assert_ne!(old, new);
    assert_eq!((word(&run, "id"), run.stdout.matches(&new).count()), ("team".to_owned(), 1));
    assert!(!run.stdout.contains(&old) && !run.stderr.contains("sk-gw-"), "{run:?}");
    assert!(list(&folder)[0].get("previous_key_expires_at").is_none());
    let newer = printed(&folder.run(&["keys", "rotate", "team", "--overlap-secs", "600", "--json"], &[]));
    assert!(newer["previous_key_expires_at"].is_string() && newer["key"].is_string(), "{newer}");
    let listed = &list(&folder)[0];
    assert_eq!(listed["key_preview"], newer["key_preview"]);
    assert_eq!(listed["previous_key_expires_at"], newer["previous_key_expires_at"]);
}

#[test]
fn a_revoked_key_is_gone() {
    let folder = Folder::empty();
    for id in ["one", "other"] {
        folder.run(&["keys", "create", "--name", "x", "--id", id], &[]);
    }
    let run = folder.run(&["keys", "revoke", "one"], &[]);
    assert_eq!((run.code, &*run.stdout, &*run.stderr), (Some(0), "revoked one\n", ""));
    let ids: Vec<_> = list(&folder).iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["other"]);
    for arguments in [["keys", "revoke", "one"], ["keys", "rotate", "one"]] {
        let run = folder.run(&arguments, &[]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{run:?}");
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains("`one`"), "{run:?}");
    }
    // Its identifier is free again.
    assert_eq!(folder.run(&["keys", "create", "--name", "x", "--id", "one"], &[]).code, Some(0));
}
