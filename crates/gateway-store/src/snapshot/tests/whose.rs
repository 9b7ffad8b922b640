//! Of which store a snapshot is, and of which state.

use std::os::unix::fs::MetadataExt;

use super::*;

fn snapshot_at(folder: &TempDir, place: &str) -> Snapshot {
    Snapshot::new(folder.path().join("keys"), KeyDigester::default(), place.to_owned(), Sealing::default())
}

fn of(store: &str, version: i64, token: &str) -> Position {
    Position { version: Version(version), store: store.into(), token: token.into() }
}

#[test]
fn it_is_written_anew_unless_it_is_of_the_very_state() {
    for (place, position, is_current) in [
        ("here", at(42), true),
        ("here", at(43), false),
        ("here", of("store", 42, "other"), false),
        ("here", of("other", 42, "42"), false),
        // Otherwise nobody would believe it while the store is away.
        ("there", at(42), false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        snapshot(&folder).follow(&everything());
        let next = snapshot_at(&folder, place);
        next.read(Wanted::Spending, Some(&position)).unwrap();
        assert_eq!(!next.meet(&Changes { position: position.clone(), ..everything() }), is_current, "{position:?}");
        assert_eq!(next.wants_rewriting(), !is_current, "{position:?}");
    }
}

#[test]
fn what_was_appended_before_counts_when_it_has_become_long() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(&folder).follow(&everything());
    let mut version = 42;
    let inode = || fs::metadata(folder.path().join("keys")).unwrap().ino();
    let before = inode();
    let long = KeyRecord { metadata: format!(r#"{{"a":"{}"}}"#, "x".repeat(300_000)), ..everything().keys[0].clone() };
    let is_long = (0..10).any(|_| {
        let next = snapshot(&folder);
        next.read(Wanted::Spending, Some(&at(version))).unwrap();
        assert!(!next.meet(&Changes { position: at(version), ..everything() }));
        version += 1;
        next.follow(&change(version, vec![long.clone()], &[]));
        next.wants_rewriting()
    });
    assert!(is_long && inode() == before);
}

#[test]
fn one_of_another_store_is_kept_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(&folder).follow(&everything());
    let before = fs::read(folder.path().join("keys")).unwrap();
    let another = of("../another", 1, "1");
    let next = snapshot(&folder);
    assert!(next.read(Wanted::Spending, Some(&another)).unwrap().is_none());
    next.follow(&Changes { position: another, ..everything() });
    assert_eq!(fs::read(folder.path().join("keys.of-store")).unwrap(), before);
    drop(next);
    // And the other way round: the identifier may be anything, and names a file in this folder all the same.
    snapshot(&folder).follow(&everything());
    assert!(folder.path().join("keys.of-another").exists());
    assert!(keys_in(&folder).position == at(42));
}

#[test]
fn while_the_store_is_away_the_place_tells() {
    let folder = tempfile::tempdir().unwrap();
    snapshot_at(&folder, "here").follow(&everything());
    assert!(snapshot_at(&folder, "there").read(Wanted::Everything, None).unwrap().is_none());
    assert!(snapshot_at(&folder, "there").read(Wanted::Everything, Some(&at(7))).unwrap().is_some(), "it has moved");
    assert!(snapshot_at(&folder, "here").read(Wanted::Everything, None).unwrap().is_some());
}

/// As the release before wrote it.
#[test]
fn the_format_before_can_be_read_and_is_written_anew() {
    const KEY: &str = r#""preview":"","is_weak":false,"previous":null,"allowed_models":[],"rate_limit":null,"budget":null,
        "expires_at":null,"is_enabled":true,"metadata":"{}","created_at":0,"updated_at":0,"last_used_at":null,"revision":1"#;
    let folder = tempfile::tempdir().unwrap();
    let key = KEY.replace('\n', "");
    let lines = [
        r#"{"head":{"format":2,"lines":2}}"#.to_owned(),
        format!(r#"{{"key":{{"id":"old","name":"old","digest":"{}",{key}}}}}"#, "ab".repeat(32)),
        r#"{"version":42}"#.to_owned(),
    ];
    let mut last = KeyDigest::of(b"");
    let text = lines.map(|line| {
        last = KeyDigest::of(&[last.as_bytes(), line.as_bytes()].concat());
        format!("{} {line}\n", crate::hex::hex(last.as_bytes()))
    });
    fs::write(folder.path().join("keys"), text.concat()).unwrap();
    let found = keys_in(&folder);
    assert_eq!((found.keys.len(), found.position.version, &*found.keys[0].id), (1, Version(42), "old"));
    assert!(found.settings.is_none(), "it knows nothing of them");
    let next = snapshot(&folder);
    assert!(next.read(Wanted::Spending, Some(&at(42))).unwrap().is_some());
    let everything = Changes { position: at(42), ..found };
    assert!(next.meet(&everything));
    next.rewrite(&everything);
    assert!(fs::read_to_string(folder.path().join("keys")).unwrap().contains(r#""format":3"#));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nobody knows whose it was");
}
