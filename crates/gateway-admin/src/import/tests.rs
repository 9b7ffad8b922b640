use gateway_keystore::{RetiredKey, UnreadableSettings};
use gateway_secret::{KeyDigest, KeyDigester};

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn import(weight: u32, key: &str) -> Import {
    let mut import = Import::default();
    let settings =
        format!(r#"{{"api_base":"http://a/v1","api_key":"sk-provider","headers":{{"x":"y"}},"weight":{weight}}}"#);
    import.entry(SettingsKind::Provider, "main", &Secret::from(settings), now()).unwrap();
    import.entry(SettingsKind::Model, "chat", &Secret::from("{}"), now()).unwrap();
    let metadata = vec![("team".to_owned(), "a".to_owned())];
    let digester = KeyDigester::default();
    import.key(FileKey { metadata, ..FileKey::new("Production Key", &Secret::from(key), &digester) });
    import
}

/// The store after the changes of a plan.
fn stored(plan: &Plan) -> Changes {
    let mut stored = Changes { settings: Some(StoredSettings::default()), ..Changes::default() };
    for noted in &plan.changes {
        match &noted.change {
            StoreChange::Key(KeyChange::Insert(key)) => stored.keys.push(key.clone()),
            StoreChange::Settings(SettingsChange::Insert(record)) => {
                stored.settings.as_mut().unwrap().records.push(record.clone());
            }
            other => panic!("{other:?}"),
        }
    }
    stored
}

fn file_key(name: &str, value: &str) -> FileKey {
    FileKey::new(name, &Secret::from(value), &KeyDigester::default())
}

fn keys(keys: &[(&str, &str)]) -> Import {
    let mut import = Import::default();
    for (name, value) in keys {
        import.key(file_key(name, value));
    }
    import
}

/// A store with keys of these names and values, as an import leaves them.
fn store_of(of: &[(&str, &str)]) -> Changes {
    stored(&keys(of).plan(&Changes::default(), Actor::Cli, now()).unwrap())
}

fn ids(stored: &Changes) -> Vec<&str> {
    stored.keys.iter().map(|key| &*key.id).collect()
}

fn digest(value: &str) -> KeyDigest {
    file_key("", value).digest
}

fn steps(import: &Import, stored: &Changes) -> Vec<String> {
    import.plan(stored, Actor::Cli, now()).unwrap().steps.iter().map(Step::to_string).collect()
}

#[test]
fn what_is_there_already_is_left_alone_and_what_is_not_is_written() {
    let first = import(1, "sk-production-0001").plan(&Changes::default(), Actor::Cli, now()).unwrap();
    let words: Vec<_> = first.steps.iter().map(Step::to_string).collect();
    assert_eq!(words, ["create provider main", "create model chat", "create key Production Key"]);
    let stored = stored(&first);
    let again = ["unchanged provider main", "unchanged model chat", "unchanged key Production Key"];
    assert_eq!(steps(&import(1, "sk-production-0001"), &stored), again);
    let changed = ["update provider main", "unchanged model chat", "unchanged key Production Key"];
    assert_eq!(steps(&import(2, "sk-production-0001"), &stored), changed);
}

#[test]
fn a_key_that_is_stored_under_another_identifier_is_the_same_key() {
    let mut stored = stored(&import(1, "sk-production-0001").plan(&Changes::default(), Actor::Cli, now()).unwrap());
    stored.keys[0].id = "key_made".into();
    assert_eq!(steps(&import(1, "sk-production-0001"), &stored)[2], "unchanged key Production Key");
}

#[test]
fn a_key_of_the_same_value_is_changed_but_for_the_value() {
    let mut stored = store_of(&[("team", "sk-production-0001")]);
    stored.keys[0].previous = Some(RetiredKey { digest: digest("sk-before-000000001"), valid_until: now() });
    stored.keys[0].is_weak = true;
    let mut import = Import::default();
    import.key(FileKey { is_enabled: false, ..file_key("renamed", "sk-production-0001") });
    let plan = import.plan(&stored, Actor::Cli, now()).unwrap();
    let [NotedChange { change: StoreChange::Key(KeyChange::Replace(next)), .. }] = plan.changes.as_slice() else {
        panic!("{:?}", plan.steps);
    };
    let expected = KeyRecord { name: "renamed".into(), is_enabled: false, ..stored.keys[0].clone() };
    assert!(KeyRecord { updated_at: expected.updated_at, ..next.clone() } == expected);
}

#[test]
fn a_value_that_was_rotated_away_never_comes_back() {
    let file = keys(&[("prod key", "sk-production-0001")]);
    let other_value = "keep key prod key (the store has another value for it; delete it there to import this one)";
    let mut rotated = store_of(&[("prod key", "sk-production-0001")]);
    rotated.keys[0].digest = digest("sk-production-0002");
    assert_eq!(steps(&file, &rotated), [other_value]);
    // Also if the key has another name since.
    rotated.keys[0].name = "production".into();
    let renamed =
        "keep key prod key (the store has another value for it, as production; delete it there to import this one)";
    assert_eq!(steps(&file, &rotated), [renamed]);
    rotated.keys[0].previous = Some(RetiredKey { digest: digest("sk-production-0001"), valid_until: now() });
    let retired = "keep key prod key (the store has replaced its value, and the new one stays)";
    assert_eq!(steps(&file, &rotated), [retired]);
    assert!(file.plan(&rotated, Actor::Cli, now()).unwrap().changes.is_empty());
}

#[test]
fn keys_whose_names_come_to_one_identifier_are_different_keys() {
    let long = "n".repeat(70);
    let (longer, one, other) = (format!("{long}m"), "sk-one-00000000001", "sk-other-000000002");
    for (first, second, expected) in [
        ("prod key", "prod/key", ["prod-key", "prod-key-2"]),
        ("ключ", "тест", ["----", "-----2"]),
        (&long, &longer, [&long[..64], &format!("{}-2", &long[..62])]),
        ("a", ".", ["a", "-"]),
    ] {
        let at_once = keys(&[(first, one), (second, other)]);
        assert_eq!(ids(&store_of(&[(first, one), (second, other)])), expected, "{second}");
        // One after the other comes to the same, and the first stays as it is.
        let mut stored_keys = store_of(&[(first, one)]);
        let plan = at_once.plan(&stored_keys, Actor::Cli, now()).unwrap();
        let words: Vec<_> = plan.steps.iter().map(Step::to_string).collect();
        assert_eq!(words, [format!("unchanged key {first}"), format!("create key {second}")]);
        stored_keys.keys.extend(stored(&plan).keys);
        assert_eq!(ids(&stored_keys), expected);
        assert!(at_once.plan(&stored_keys, Actor::Cli, now()).unwrap().changes.is_empty());
    }
}

#[test]
fn an_identifier_is_taken_by_a_row_that_cannot_be_read() {
    let mut stored = Changes::default();
    stored.unreadable.push(("team".to_owned(), "rate_limit: is no object".to_owned()));
    let plan = keys(&[("team", "sk-production-0001")]).plan(&stored, Actor::Cli, now()).unwrap();
    let NotedChange { change, note } = &plan.changes[0];
    assert!(matches!(change, StoreChange::Key(KeyChange::Insert(key)) if &*key.id == "team-2"), "{change:?}");
    assert_eq!(&*note.object, "team-2");
}

#[test]
fn names_may_be_swapped() {
    let (one, other) = ("sk-one-00000000001", "sk-other-000000002");
    let swapped = keys(&[("a", other), ("b", one)]);
    assert_eq!(steps(&swapped, &store_of(&[("a", one), ("b", other)])), ["update key a", "update key b"]);
    // A name that its key gives up is free.
    let taken_over = keys(&[("a", other), ("b", one)]);
    assert_eq!(steps(&taken_over, &store_of(&[("a", one)])), ["create key a", "update key b"]);
}

#[test]
fn an_identifier_in_the_place_of_the_name_is_no_new_name() {
    // That is how names which are not unique are exported.
    let mut stored = store_of(&[("key_2", "sk-production-0001")]);
    stored.keys[0].name = "twin".into();
    assert_eq!(steps(&keys(&[("key_2", "sk-production-0001")]), &stored), ["unchanged key key_2"]);
}

#[test]
fn secrets_are_kept_apart_and_are_in_no_note() {
    let plan = import(1, "sk-production-0001").plan(&Changes::default(), Actor::Cli, now()).unwrap();
    let stored = stored(&plan);
    let record = &stored.settings.as_ref().unwrap().records[0];
    assert_eq!(record.settings, r#"{"api_base":"http://a/v1","weight":1}"#);
    assert_eq!(record.secrets.as_ref().unwrap().expose(), r#"{"api_key":"sk-provider","headers":{"x":"y"}}"#);
    assert_eq!((&*stored.keys[0].id, stored.keys[0].metadata.as_str()), ("Production-Key", r#"{"team":"a"}"#));
    let notes = format!("{:?}", plan.changes.iter().map(|noted| &noted.note).collect::<Vec<_>>());
    assert!(!notes.contains("sk-provider") && !notes.contains("sk-production-0001"), "{notes}");
}

#[test]
fn what_cannot_be_read_is_in_the_way() {
    let mut stored = Changes::default();
    let row =
        UnreadableSettings { kind: SettingsKind::Provider, name: "main".to_owned(), problem: "sealed".to_owned() };
    stored.settings = Some(StoredSettings { records: Vec::new(), unreadable: vec![row] });
    let refused = import(1, "sk-production-0001").plan(&stored, Actor::Cli, now()).unwrap_err();
    assert!(refused.to_string().contains("provider `main`"), "{refused}");
}
