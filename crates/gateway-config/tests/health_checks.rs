//! Who is asked in the background whether they answer, and for what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use gateway_config::{Config, HealthCheckDefaults, Provider, Settings, Sources, Vocabulary, load};
use gateway_keystore::{SettingsKind, SettingsRecord, StoredSettings};
use jiff::Timestamp;

/// What becomes of a provider's checks: `MODEL every INTERVAL s within TIMEOUT s`, or `-`.
fn check(top: &str, provider: &str) -> String {
    let yaml = format!("auth: none\n{top}\nproviders: [{{ name: a, {provider} }}]\n");
    let config = Config::from_yaml(&yaml).unwrap_or_else(|errors| panic!("{yaml}\n{errors}"));
    let check = config.providers[0].health_check.as_ref();
    check.map_or_else(
        || "-".to_owned(),
        |it| format!("{} every {} s within {} s", it.model, it.interval.as_secs(), it.timeout.as_secs()),
    )
}

#[test]
fn a_provider_is_checked_as_it_says_and_else_as_all_are() {
    let (all, named) = ("health_check: { interval: 30s }", "health_check: { interval: 30s, timeout: 3s, model: m }");
    for (top, provider, expected) in [
        ("", "model_mapping: [m]", "-"),
        ("health_check: { timeout: 3s, model: m }", "model_mapping: [m]", "-"),
        ("health_check: {}", "model_mapping: [m]", "-"),
        (all, "model_mapping: ['x-*', m, n]", "m every 30 s within 10 s"),
        (all, "model_mapping: ['x-*']", "-"),
        (all, "weight: 1", "-"),
        (named, "weight: 1", "m every 30 s within 3 s"),
        (named, "model_mapping: [n, m]", "m every 30 s within 3 s"),
        (named, "model_mapping: [n, 'm*']", "m every 30 s within 3 s"),
        (named, "model_mapping: ['x-*', n]", "n every 30 s within 3 s"),
        (named, "model_mapping: [n], health_check: false", "-"),
        (named, "model_mapping: [n], health_check: off", "-"),
        (named, "model_mapping: [n], health_check: true", "n every 30 s within 3 s"),
        (named, "model_mapping: [n], health_check: ", "n every 30 s within 3 s"),
        (named, "model_mapping: [n], health_check: {}", "n every 30 s within 3 s"),
        (named, "model_mapping: ['x-*'], health_check: { model: x-1, interval: 5m }", "x-1 every 300 s within 3 s"),
        (named, "model_mapping: ['x-*'], health_check: { model: 'x-*' }", "x-* every 30 s within 3 s"),
        ("", "health_check: { model: m, interval: 1s, timeout: 5m }", "m every 1 s within 300 s"),
        ("", "health_check: { model: m, interval_secs: 86400 }", "m every 86400 s within 10 s"),
        ("", "health_check: { model: m }", "-"),
    ] {
        assert_eq!(check(top, provider), expected, "{top:?}, {provider:?}");
    }
}

#[test]
fn a_provider_that_is_written_in_a_model_is_not_checked() {
    let yaml =
        "auth: none\nhealth_check: { interval: 30s, model: m }\nmodels: { m: { endpoint: 'https://example.com/x' } }\n";
    let config = Config::from_yaml(yaml).unwrap();
    assert!(config.providers[0].health_check.is_none());
}

#[test]
fn nothing_is_checked_by_default() {
    let config = Config::from_yaml("auth: none\nproviders: [{ name: a, model_mapping: [m] }]\n").unwrap();
    assert_eq!((&config.health_check, &config.providers[0].health_check), (&HealthCheckDefaults::default(), &None));
    assert_eq!(config.health_check.interval, None);
}

#[test]
fn checks_that_come_to_nothing_are_doubtful() {
    let directory = tempfile::TempDir::new().unwrap();
    let warnings = |top: &str, provider: &str| {
        let yaml = format!("auth: none\n{top}\nproviders: [{{ name: a, {provider} }}]\n");
        std::fs::write(directory.path().join("config.yaml"), yaml).unwrap();
        let sources = Sources { working_directory: directory.path().to_owned(), ..Sources::default() };
        load(&sources, &Vocabulary::default()).unwrap().warnings
    };
    let all = "health_check: { interval: 30s }";
    for (top, provider, expected) in [
        (all, "weight: 1", "providers[0]: its health is not checked"),
        (all, "model_mapping: ['*']", "providers[0]: its health is not checked"),
        ("", "health_check: { model: m }", "providers[0].health_check: without effect"),
        ("", "health_check: true", "providers[0].health_check: without effect"),
    ] {
        let warnings = warnings(top, provider);
        assert!(matches!(&warnings[..], [one] if one.starts_with(expected)), "{top}, {provider}: {warnings:?}");
    }
    for (top, provider) in [
        (all, "enabled: false"),
        (all, "health_check: false"),
        (all, "health_check: { model: m }"),
        ("", "health_check: false"),
        ("health_check: { timeout: 3s }", "weight: 1"),
    ] {
        assert_eq!(warnings(top, provider), Vec::<String>::new(), "{top}, {provider}");
    }
}

#[test]
fn a_provider_of_the_store_is_checked_like_one_of_the_file() {
    let provider = |name: &str, settings: &str| SettingsRecord {
        kind: SettingsKind::Provider,
        name: name.into(),
        settings: settings.to_owned(),
        secrets: None,
        revision: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let records = vec![
        provider("a", r#"{"model_mapping":["m"]}"#),
        provider("b", r#"{"model_mapping":["m"],"health_check":{"interval":"2m","model":"m"}}"#),
        provider("c", r#"{"model_mapping":["m"],"health_check":false}"#),
        provider("d", r#"{"model_mapping":["m"],"health_check":{"model":"x"}}"#),
    ];
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::write(directory.path().join("config.yaml"), "auth: none\nhealth_check: { interval: 30s }\n").unwrap();
    let sources = Sources { working_directory: directory.path().to_owned(), ..Sources::default() };
    let stored = StoredSettings { records, unreadable: Vec::new() };
    let loaded = Settings::read(&sources).unwrap().resolve(Some(&stored), &Vocabulary::default()).unwrap();
    let seconds = |provider: &Provider| provider.health_check.as_ref().map(|check| check.interval.as_secs());
    let found: Vec<_> = loaded.config.providers.iter().map(|it| (&*it.name, seconds(it))).collect();
    assert_eq!(found, [("a", Some(30)), ("b", Some(120)), ("c", None)]);
    let [left_out] = &loaded.left_out[..] else { panic!("{:?}", loaded.left_out) };
    assert!(left_out.to_string().contains("health_check.model"), "{left_out}");
}
