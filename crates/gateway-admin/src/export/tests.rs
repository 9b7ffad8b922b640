use gateway_keystore::StoredSettings;
use gateway_secret::KeyDigest;
use jiff::Timestamp;
use serde_json::Value;

use super::*;

fn record(kind: SettingsKind, name: &str, settings: &str, secrets: Option<&str>) -> SettingsRecord {
    SettingsRecord {
        kind,
        name: name.into(),
        settings: settings.to_owned(),
        secrets: secrets.map(Secret::from),
        revision: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn stored() -> Changes {
    let secrets = r#"{"api_keys":["sk-one","sk-two"],"headers":{"x-team":"${literal}"}}"#;
    let settings = r#"{"api_base":"http://a/v1","model_mapping":{"z-*":"*","a":"${b}"}}"#;
    let records = vec![
        record(SettingsKind::Provider, "main-1", settings, Some(secrets)),
        record(SettingsKind::Model, "chat", r#"{"fallback_models":["a"]}"#, None),
    ];
    let key = |id: &str, name: &str| KeyRecord {
        name: name.into(),
        preview: "sk-…xyz".to_owned(),
        ..KeyRecord::unlimited(id, KeyDigest::of(id.as_bytes()))
    };
    Changes {
        keys: vec![key("key_1", "team"), key("key_2", "twin"), key("key_3", "twin")],
        settings: Some(StoredSettings { records, unreadable: Vec::new() }),
        ..Changes::default()
    }
}

#[test]
fn an_export_is_a_file_that_says_the_same() {
    let text = serde_json::to_string(&Export::new(&stored(), true)).unwrap();
    let provider = r#"{"name":"main-1","api_base":"http://a/v1","model_mapping":{"z-*":"*","a":"$${b}"},"api_keys":["sk-one","sk-two"],"headers":{"x-team":"$${literal}"}}"#;
    assert!(text.contains(provider), "{text}");
    assert!(text.contains(r#""models":{"chat":{"fallback_models":["a"]}}"#), "{text}");
    let exported: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = exported["master_keys"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["team", "key_2", "key_3"]);
    assert_eq!(exported["master_keys"][0]["key_digest"].as_str().unwrap().len(), 64);
}

#[test]
fn secrets_are_left_to_the_environment_unless_they_are_asked_for() {
    let text = serde_json::to_string(&Export::new(&stored(), false)).unwrap();
    assert!(!text.contains("sk-one") && !text.contains("literal"), "{text}");
    for reference in
        ["${PROVIDER_MAIN_1_API_KEYS_1}", "${PROVIDER_MAIN_1_API_KEYS_2}", "${PROVIDER_MAIN_1_HEADERS_X_TEAM}"]
    {
        assert!(text.contains(reference), "{reference} in {text}");
    }
}

#[test]
fn no_two_keys_are_exported_by_one_name() {
    let key = |id: &str, name: &str| KeyRecord {
        name: name.into(),
        ..KeyRecord::unlimited(id, KeyDigest::of(id.as_bytes()))
    };
    // The last has for its name what the second is exported by.
    let keys = vec![key("key_1", "twin"), key("key_2", "twin"), key("key_3", "key_2"), key("key_4", "key_4")];
    let stored = Changes { keys, ..Changes::default() };
    let exported = serde_json::to_value(Export::new(&stored, true)).unwrap();
    let names: Vec<_> = exported["master_keys"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["key_1", "key_2", "key_3", "key_4"]);
}

#[test]
fn no_two_secrets_are_left_to_one_variable() {
    let secret = |key: &str| format!(r#"{{"api_key":"{key}"}}"#);
    let names = ["a-b", "a_b", "研发", "测试"];
    let records = names.map(|name| record(SettingsKind::Provider, name, "{}", Some(&secret(name))));
    let settings = Some(StoredSettings { records: records.into(), unreadable: Vec::new() });
    let text = serde_json::to_string(&Export::new(&Changes { settings, ..Changes::default() }, false)).unwrap();
    for variable in ["PROVIDER_A_B_API_KEY", "PROVIDER_A_B_API_KEY_2", "PROVIDER____API_KEY", "PROVIDER____API_KEY_2"] {
        assert_eq!(text.matches(&format!("${{{variable}}}")).count(), 1, "{variable} in {text}");
    }
}
