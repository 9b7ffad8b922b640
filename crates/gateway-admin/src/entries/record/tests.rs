//! What a change makes of an entry.

use super::*;

fn record(settings: &str, secrets: Option<&str>) -> SettingsRecord {
    let draft = Draft::parse(SettingsKind::Provider, b"{}").unwrap();
    let record = new(SettingsKind::Provider, "a", &draft, Timestamp::UNIX_EPOCH);
    SettingsRecord { settings: settings.to_owned(), secrets: secrets.map(Secret::from), ..record }
}

fn after(before: &SettingsRecord, change: &str) -> (String, Option<String>) {
    let draft = Draft::parse(SettingsKind::Provider, change.as_bytes()).unwrap();
    let after = changed(before, &draft, Timestamp::MAX);
    assert_eq!(after.updated_at == Timestamp::MAX, !is_same(before, &after));
    (after.settings, after.secrets.map(|secrets| secrets.expose().to_owned()))
}

#[test]
fn what_is_given_changes_and_null_takes_away() {
    let before = record(r#"{"type":"openai","weight":2}"#, Some(r#"{"api_key":"k"}"#));
    for (change, settings, secrets) in [
        ("{}", r#"{"type":"openai","weight":2}"#, Some(r#"{"api_key":"k"}"#)),
        (r#"{"provider_type": "azure"}"#, r#"{"type":"azure","weight":2}"#, Some(r#"{"api_key":"k"}"#)),
        (
            r#"{"weight": null, "is_enabled": false}"#,
            r#"{"type":"openai","enabled":false}"#,
            Some(r#"{"api_key":"k"}"#),
        ),
        (r#"{"api_key": null}"#, r#"{"type":"openai","weight":2}"#, None),
        (r#"{"api_keys": ["a", "b"]}"#, r#"{"type":"openai","weight":2}"#, Some(r#"{"api_keys":["a","b"]}"#)),
        (
            r#"{"headers": {"x": "y"}}"#,
            r#"{"type":"openai","weight":2}"#,
            Some(r#"{"api_key":"k","headers":{"x":"y"}}"#),
        ),
        (
            r#"{"model_mapping": {"gpt-4*": "*", "gpt-*": "b"}}"#,
            r#"{"type":"openai","weight":2,"model_mapping":{"gpt-4*":"*","gpt-*":"b"}}"#,
            Some(r#"{"api_key":"k"}"#),
        ),
    ] {
        assert_eq!(after(&before, change), (settings.to_owned(), secrets.map(str::to_owned)), "{change}");
    }
}

#[test]
fn a_secret_on_the_wrong_side_goes_where_it_belongs_with_any_change() {
    let before = record(r#"{"api_key":"k"}"#, None);
    assert_eq!(after(&before, r#"{"api_key": "l"}"#), ("{}".to_owned(), Some(r#"{"api_key":"l"}"#.to_owned())));
    assert_eq!(after(&before, r#"{"api_keys": ["l"]}"#), ("{}".to_owned(), Some(r#"{"api_keys":["l"]}"#.to_owned())));
    let moved = Some(r#"{"api_key":"k"}"#.to_owned());
    assert_eq!(after(&before, r#"{"weight": 3}"#), (r#"{"weight":3}"#.to_owned(), moved.clone()));
    assert_eq!(after(&before, "{}"), ("{}".to_owned(), moved));
    assert_eq!(after(&before, r#"{"api_key": null}"#), ("{}".to_owned(), None));
    // Of two, the one that was kept apart counts.
    let both = record(r#"{"headers":{"x":"y"},"weight":2,"api_key":"k"}"#, Some(r#"{"api_key":"l"}"#));
    let expected = Some(r#"{"api_key":"l","headers":{"x":"y"}}"#.to_owned());
    assert_eq!(after(&both, "{}"), (r#"{"weight":2}"#.to_owned(), expected));
}

#[test]
fn nothing_secret_is_shown() {
    let secret = "sk-0123456789abcdef0123456789";
    let settings = format!(r#"{{"weight":1,"api_key":"{secret}","api-key":"{secret}","headers":"{secret}"}}"#);
    let secrets = format!(r#"{{"api_keys":["{secret}",7],"headers":{{"x":"{secret}"}}}}"#);
    let shown = audited(&record(&settings, Some(&secrets)), None);
    assert!(!shown.contains("0123456789"), "{shown}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["id"], "a");
    assert_eq!(shown["headers"], serde_json::json!({ "x": "***" }));
    assert_eq!(shown["api_key_previews"][1], "***");
    assert_eq!((&shown["api-key"], &shown["weight"]), (&"***".into(), &1.into()));
}

#[test]
fn addresses_are_shown_without_what_some_put_credentials_in() {
    for (address, expected) in [
        ("https://a.example/v1", "https://a.example/v1"),
        ("https://a.example:8443", "https://a.example:8443"),
        ("https://a.example/chat?key=secret", "https://a.example/chat?***"),
        ("https://a.example?key=secret@x/y", "https://a.example?***"),
        ("https://me:secret@a.example/v1", "https://***@a.example/v1"),
        ("https://me:secret@b@a.example/v1#secret", "https://***@a.example/v1?***"),
        ("https://a.example/v1@7/x", "https://a.example/v1@7/x"),
        ("no address", "no address"),
    ] {
        let shown = audited(&record(&format!(r#"{{"api_base":"{address}"}}"#), None), None);
        assert_eq!(shown, format!(r#"{{"id":"a","api_base":"{expected}"}}"#));
    }
}
