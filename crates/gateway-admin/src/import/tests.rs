use gateway_keystore::UnreadableSettings;
use gateway_secret::KeyDigester;

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
    let changed = ["update provider main", "unchanged model chat", "update key Production Key"];
    assert_eq!(steps(&import(2, "sk-production-0002"), &stored), changed);
}

#[test]
fn a_key_that_is_stored_under_another_identifier_is_the_same_key() {
    let mut stored = stored(&import(1, "sk-production-0001").plan(&Changes::default(), Actor::Cli, now()).unwrap());
    stored.keys[0].id = "key_made".into();
    assert_eq!(steps(&import(1, "sk-production-0001"), &stored)[2], "unchanged key Production Key");
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
