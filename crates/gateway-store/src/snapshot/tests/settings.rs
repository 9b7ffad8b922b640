//! Providers and models in a snapshot.

use gateway_keystore::{SettingsKind, SettingsRecord, StoredSettings, UnreadableSettings};

use super::*;
use crate::Vault;

/// A snapshot that is sealed with keys of these bytes.
fn sealed(folder: &TempDir, keys: &[&str]) -> Snapshot {
    let ring: Vec<_> = keys.iter().map(|byte| byte.repeat(32)).collect();
    let sealing = Sealing::new(Some(Arc::new(Vault::new(&Secret::from(ring.join(","))).unwrap())));
    Snapshot::new(folder.path().join("keys"), KeyDigester::default(), "here".to_owned(), sealing)
}

fn provider(name: &str, revision: i64, secret: &str) -> SettingsRecord {
    SettingsRecord {
        kind: SettingsKind::Provider,
        name: name.into(),
        settings: r#"{"api_base":"ü\n"}"#.to_owned(),
        secrets: Some(Secret::from(secret)),
        revision,
        created_at: Timestamp::from_microsecond(1).unwrap(),
        updated_at: Timestamp::from_microsecond(revision).unwrap(),
    }
}

fn stored(records: Vec<SettingsRecord>) -> StoredSettings {
    let odd = UnreadableSettings { kind: SettingsKind::Model, name: "odd".to_owned(), problem: "is odd".to_owned() };
    StoredSettings { records, unreadable: vec![odd] }
}

fn with(changes: Changes, settings: &StoredSettings) -> Changes {
    Changes { settings: Some(settings.clone()), ..changes }
}

fn text(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("keys")).unwrap()
}

fn assert_reads(snapshot: &Snapshot, expected: &StoredSettings) {
    let found = snapshot.read(Wanted::Everything, None).unwrap().unwrap().everything.unwrap().settings.unwrap();
    // Secrets are shown by nothing that is compared here.
    let secrets = |settings: &StoredSettings| {
        let secret = |record: &SettingsRecord| record.secrets.as_ref().unwrap().expose().to_owned();
        settings.records.iter().map(secret).collect::<Vec<_>>()
    };
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    assert_eq!(secrets(&found), secrets(expected));
}

#[test]
fn what_was_written_is_read_and_only_news_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let running = sealed(&folder, &["11"]);
    let mut settings = stored(vec![provider("a", 1, "geheim a"), provider("b", 1, "geheim b")]);
    running.follow(&with(everything(), &settings));
    assert_reads(&sealed(&folder, &["11"]), &settings);
    let lines = || text(&folder).lines().count();
    let before = lines();
    settings.records[1] = provider("b", 2, "geheim c");
    running.follow(&with(change(43, vec![], &[]), &settings));
    assert_eq!(lines(), before + 2, "the one that has changed, and the state");
    assert_reads(&sealed(&folder, &["11"]), &settings);
    settings = StoredSettings { records: vec![provider("b", 2, "geheim c")], unreadable: Vec::new() };
    running.follow(&with(change(44, vec![], &[]), &settings));
    assert_eq!(lines(), before + 5, "both that are gone, and the state");
    assert_reads(&sealed(&folder, &["11"]), &settings);
    assert!(!text(&folder).contains("geheim"));
}

#[test]
fn what_changes_while_the_whole_is_written_anew_is_there_too() {
    let states = [1, 2, 3].map(|revision| stored(vec![provider("a", revision, "geheim")]));
    let versions = [42, 43, 44];
    // The whole is of a state before, as or after the one that is followed meanwhile.
    for read in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let running = sealed(&folder, &["11"]);
        running.follow(&with(everything(), &states[0]));
        running.begin();
        running.follow(&with(change(versions[1], vec![], &[]), &states[1]));
        running.rewrite(&with(Changes { position: at(versions[read]), ..everything() }, &states[read]));
        assert_reads(&sealed(&folder, &["11"]), &states[read.max(1)]);
        // Whatever was written, the next change is told from what was followed.
        running.follow(&with(change(versions[2], vec![], &[]), &states[2]));
        assert_reads(&sealed(&folder, &["11"]), &states[2]);
        running.follow(&with(change(50, vec![], &[]), &states[0]));
        assert_reads(&sealed(&folder, &["11"]), &states[0]);
    }
}

#[test]
fn what_has_not_changed_is_not_sealed_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = stored(vec![provider("a", 1, "geheim")]);
    let everything = with(everything(), &settings);
    let sealed_text = || {
        let text = text(&folder);
        let (_, sealed) = text.split_once("sealed:v1:").unwrap();
        sealed.split_once('"').unwrap().0.to_owned()
    };
    let running = sealed(&folder, &["11"]);
    running.follow(&everything);
    let before = sealed_text();
    rewrite(&running, &everything);
    assert_eq!(sealed_text(), before);
    drop(running);
    let next = sealed(&folder, &["11"]);
    next.read(Wanted::Spending, Some(&everything.position)).unwrap();
    assert!(!next.meet(&everything), "it is all there");
    drop(next);
    let rotated = sealed(&folder, &["22", "11"]);
    rotated.read(Wanted::Spending, Some(&everything.position)).unwrap();
    assert!(rotated.meet(&everything), "it has to be sealed with the new key");
    rotated.rewrite(&everything);
    assert_ne!(sealed_text(), before);
    drop(rotated);
    assert_reads(&sealed(&folder, &["22"]), &settings);
}
