use gateway_ratelimit::{Budget, BudgetPeriod, NanoUsd};

use super::*;

fn state() -> Changes {
    let at = |microsecond| Timestamp::from_microsecond(microsecond).unwrap();
    let full = KeyRecord {
        id: "full".into(),
        name: "Ключ \"1\"\n".into(),
        digest: KeyDigest::of(b"full"),
        preview: "sk-gw-AbC…xyz".to_owned(),
        is_weak: true,
        previous: Some(RetiredKey { digest: KeyDigest::of(b"previous"), valid_until: at(1) }),
        allowed_models: vec!["gpt-*".to_owned()],
        rate_limit: Some(RateLimit { max_concurrent: Some(0), ..RateLimit::default() }),
        budget: Some(Budget { limit: NanoUsd(12_345_678_901), period: BudgetPeriod::Day }),
        expires_at: Some(at(i64::from(u32::MAX))),
        is_enabled: false,
        metadata: r#"{"a":{"b":[1,"\n"]}}"#.to_owned(),
        created_at: at(-1),
        updated_at: at(2),
        last_used_at: Some(at(3)),
        revision: 7,
    };
    let plain = KeyRecord {
        id: "plain".into(),
        previous: None,
        rate_limit: None,
        budget: None,
        expires_at: None,
        last_used_at: None,
        metadata: "{}".to_owned(),
        ..full.clone()
    };
    Changes { version: Version(42), is_everything: true, keys: vec![full, plain], ..Changes::default() }
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    assert!(read(&path).unwrap().is_none());
    for keys in [2, 1, 0] {
        let state = Changes { keys: state().keys[..keys].to_vec(), ..state() };
        write(&path, &state).unwrap();
        let found = read(&path).unwrap().unwrap();
        assert!(found.keys == state.keys && found.version == state.version && found.is_everything);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_not_whole_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    write(&path, &state()).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let (head, keys) = whole.split_once('\n').unwrap();
    let first = keys.lines().next().unwrap();
    for damaged in [
        String::new(),
        format!("{head}\n{first}\n"),
        format!("{head}\n{first}\n{}\n", &first[..first.len() / 2]),
        format!("{head}\n{keys}{first}\n"),
        whole.replacen("\"format\":1", "\"format\":2", 1),
        whole.replacen("\"digest\":\"", "\"digest\":\"g", 1),
        whole.replacen("\"digest\":\"", "\"digest\":\"é", 1),
        whole.replacen("\"day\"", "\"year\"", 1),
    ] {
        fs::write(&path, &damaged).unwrap();
        assert!(read(&path).is_err(), "{damaged}");
    }
}

#[test]
fn a_place_that_cannot_be_written_keeps_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(&folder.path().join("missing/keys"), &state()).is_err());
    // A folder cannot be replaced by a file.
    fs::create_dir(folder.path().join("keys")).unwrap();
    assert!(write(&folder.path().join("keys"), &state()).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half written is left");
}
