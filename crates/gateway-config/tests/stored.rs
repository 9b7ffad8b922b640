//! What a store adds to a file, and what becomes of its entries that are wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "stored/bounds.rs"]
mod bounds;
#[path = "stored/crowded.rs"]
mod crowded;
#[path = "stored/references.rs"]
mod references;

use std::collections::HashMap;

use gateway_config::{
    ConfigErrors, LeftOutReason, Loaded, Origin, ProviderEndpoint, Settings, Sources, Vocabulary, load,
};
use gateway_keystore::{SettingsKind, SettingsRecord, StoredSettings, UnreadableSettings};
use jiff::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

const PROVIDER: SettingsKind = SettingsKind::Provider;
const MODEL: SettingsKind = SettingsKind::Model;

fn record(kind: SettingsKind, name: &str, settings: &str) -> SettingsRecord {
    SettingsRecord {
        kind,
        name: name.into(),
        settings: settings.to_owned(),
        secrets: None,
        revision: 1,
        created_at: Timestamp::from_second(1).unwrap(),
        updated_at: Timestamp::from_second(2).unwrap(),
    }
}

fn with_secrets(record: SettingsRecord, secrets: &str) -> SettingsRecord {
    SettingsRecord { secrets: Some(secrets.into()), ..record }
}

fn stored(records: impl IntoIterator<Item = SettingsRecord>) -> StoredSettings {
    StoredSettings { records: records.into_iter().collect(), unreadable: Vec::new() }
}

fn unreadable(kind: SettingsKind, name: &str) -> UnreadableSettings {
    UnreadableSettings { kind, name: name.to_owned(), problem: "sealed with a key that is not here".to_owned() }
}

/// Settings of a file named `config.yaml`, and of an environment.
fn settings(yaml: &str, environment: &[(&str, &str)]) -> Settings {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("config.yaml"), yaml).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources =
        Sources { path: None, environment: environment.collect(), working_directory: directory.path().to_owned() };
    Settings::read(&sources).unwrap()
}

fn resolve(yaml: &str, stored: Option<&StoredSettings>) -> Result<Loaded, ConfigErrors> {
    settings(yaml, &[]).resolve(stored, &vocabulary())
}

fn resolved(yaml: &str, stored: &StoredSettings) -> Loaded {
    resolve(yaml, Some(stored)).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Policies of the tests' own, so that a new built-in one changes no snapshot.
fn vocabulary() -> Vocabulary {
    Vocabulary { policies: vec!["weighted", "p2c", "priority"], ..Vocabulary::default() }
}

fn names<'n>(names: impl IntoIterator<Item = &'n String>) -> Vec<&'n str> {
    names.into_iter().map(String::as_str).collect()
}

/// Everything that there is to say about what was loaded.
fn account(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let mut lines = vec![
        format!("providers: {:?}", names(config.providers.iter().map(|it| &it.name))),
        format!("disabled: {:?}", names(config.disabled_providers.iter().map(|it| &it.name))),
        format!("models: {:?}", names(config.models.iter().map(|it| &it.name))),
    ];
    lines.extend(loaded.left_out.iter().map(ToString::to_string));
    lines.extend(loaded.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

#[test]
fn entries_of_the_store_come_after_those_of_the_file_by_name() {
    let file = "
auth: none
providers: [{ name: z }, { name: off, enabled: false }]
models: { m: { endpoint: 'https://example.com/x' } }
";
    let stored = stored([
        record(PROVIDER, "b", r#"{"weight": 3, "timeouts": {"connect": "1s"}, "model_mapping": {"x": "y"}}"#),
        record(PROVIDER, "a", r#"{"enabled": false}"#),
        record(PROVIDER, "sim", "{\"type\": \"simulator\"}"),
        record(MODEL, "n", r#"{"endpoint": "https://example.com/y", "model": "up", "fallback_models": ["m", "l"]}"#),
        record(MODEL, "l", r#"{"targets": [{"provider": "b"}, {"provider": "z"}, {"provider": "a"}]}"#),
    ]);
    let loaded = resolved(file, &stored);
    insta::assert_snapshot!(account(&loaded));
    let config = &loaded.config;
    assert_eq!(config.providers[0].origin, Origin::File);
    let origin = Origin::Store {
        created_at: Timestamp::from_second(1).unwrap(),
        updated_at: Timestamp::from_second(2).unwrap(),
    };
    assert_eq!((config.providers[1].origin, config.providers[1].weight), (origin, 3));
    assert_eq!(config.providers[1].timeouts.connect.as_secs(), 1);
    assert_eq!(config.providers[2].endpoint, ProviderEndpoint::Simulator { at: None });
    assert!(!config.disabled_providers[1].enabled && config.providers[1].enabled);
    let targets: Vec<Vec<_>> =
        config.models.iter().map(|it| it.targets.iter().map(|target| target.provider).collect()).collect();
    assert_eq!(targets, [vec![3], vec![1, 0], vec![4]]);
    assert_eq!(config.models[2].targets[0].upstream_model, "up");
    assert_eq!(
        (config.models[2].origin, config.providers[4].origin, config.providers[3].origin),
        (origin, origin, Origin::File)
    );
}

#[test]
fn a_file_may_refer_to_what_the_store_has() {
    let file = "
passthrough: b
models: { m: { targets: [{ provider: b, model: y }], fallback_models: [x, n] }, x: { balance: p2c } }
";
    let stored = stored([
        record(PROVIDER, "b", r#"{"model_mapping": {"x": "y"}}"#),
        record(MODEL, "n", r#"{"fallback_models": ["m"], "targets": [{"provider": "b"}]}"#),
    ]);
    let loaded = resolved(file, &stored);
    assert_eq!((loaded.config.passthrough, loaded.left_out.len()), (Some(0), 0));
    assert_eq!(loaded.config.models[0].fallback_models, ["x", "n"]);
}

#[test]
fn texts_of_the_store_are_literal() {
    let file = settings("auth: none\n", &[("HOME_KEY", "leaked")]);
    let stored = stored([record(
        PROVIDER,
        "a",
        r#"{"api_key": "${HOME_KEY}", "model_mapping": {"m": "$${x}", "\ud83d\ude00": "\u00e9\/x"}}"#,
    )]);
    let loaded = file.resolve(Some(&stored), &vocabulary()).unwrap();
    assert!(loaded.left_out.is_empty(), "{}", account(&loaded));
    let provider = &loaded.config.providers[0];
    assert_eq!(provider.api_keys[0].expose(), "${HOME_KEY}");
    assert_eq!(provider.model_mapping[0].upstream.as_deref(), Some("$${x}"));
    assert_eq!(provider.model_mapping[1].public.as_str(), "😀");
    assert_eq!(provider.model_mapping[1].upstream.as_deref(), Some("é/x"));
}

#[test]
fn secrets_are_members_like_others_and_win() {
    let entry = record(PROVIDER, "a", r#"{"api_key": "sk-clear", "headers": {"x-a": "1"}, "weight": 2}"#);
    let stored = stored([
        with_secrets(entry, r#"{"api_key": "sk-sealed", "headers": {"x-b": "2"}}"#),
        with_secrets(record(PROVIDER, "b", r#"{"api_key": "sk-clear"}"#), r#"{"api_key": null}"#),
        with_secrets(record(MODEL, "m", r#"{"endpoint": "https://example.com/x"}"#), r#"{"api_keys": ["k", "l"]}"#),
    ]);
    let loaded = resolved("auth: none\n", &stored);
    let [a, b, m] = &loaded.config.providers[..] else { panic!("{}", account(&loaded)) };
    assert_eq!(
        (a.api_keys[0].expose(), a.headers.len(), a.headers[0].0.as_str(), a.weight),
        ("sk-sealed", 1, "x-b", 2)
    );
    assert!(b.api_keys.is_empty());
    assert_eq!(m.api_keys.len(), 2);
}

#[test]
fn what_is_wrong_is_left_out_with_all_its_problems() {
    let stored = StoredSettings {
        records: vec![
            record(PROVIDER, "clash", "{}"),
            record(
                PROVIDER,
                "faulty",
                r#"{"wieght": 2, "weight": 0, "timeouts": {"connect": 5, "idle": "soon"}, "headers": {"host": "x"}}"#,
            ),
            record(PROVIDER, "fine", r#"{"model_mapping": {"m": "m"}}"#),
            record(PROVIDER, "has a name", r#"{"name": "other"}"#),
            record(PROVIDER, "has/slash", "{}"),
            record(PROVIDER, " blank", "{}"),
            record(PROVIDER, "line\nbreak", "{}"),
            record(PROVIDER, "twice", r#"{"weight": 1, "weight": 2}"#),
            record(PROVIDER, "rivals", r#"{"api_key": "a", "api_keys": ["b"]}"#),
            record(PROVIDER, "no base", r#"{"type": "opnai"}"#),
            record(MODEL, "clash", "{}"),
            record(MODEL, "unmapped", "{}"),
            record(MODEL, "m", r#"{"balance": "p3c"}"#),
            record(MODEL, "pattern-*", r#"{"targets": [{"provider": "fine"}]}"#),
            record(MODEL, "stray", r#"{"targets": [{"provider": "fien"}, {"provider": "faulty"}]}"#),
            record(MODEL, "inline", r#"{"endpoint": "https://example.com/x", "fallback_models": ["nowhere"]}"#),
        ],
        unreadable: vec![unreadable(MODEL, "sealed"), unreadable(PROVIDER, "sealed"), unreadable(PROVIDER, "clash")],
    };
    let file = "
auth: none
providers:
  - { name: first, model_mapping: [first] }
  - { name: clash, model_mapping: [clash] }
models:
  clash: { targets: [{ provider: clash }] }
";
    let loaded = resolved(file, &stored);
    insta::assert_snapshot!(account(&loaded));
    let errors = loaded.left_out.iter().find_map(|it| match &it.reason {
        LeftOutReason::Invalid(errors) if it.name == "faulty" => Some(errors),
        _ => None,
    });
    insta::assert_snapshot!("errors_of_an_entry", errors.unwrap());
    let error = errors.unwrap().iter().find(|error| error.path == "timeouts.connect").unwrap();
    let entry = error.entry.as_ref().unwrap();
    assert_eq!((entry.kind, entry.name.as_str()), (PROVIDER, "faulty"));
    assert_eq!((error.line, error.column, &error.file), (None, None, &None));
}

#[test]
fn a_name_of_two_entries_is_the_first_ones() {
    let stored = stored([record(PROVIDER, "a", "{}"), record(PROVIDER, "a", r#"{"weight": 2}"#)]);
    let loaded = resolved("auth: none\n", &stored);
    assert_eq!(loaded.config.providers[0].weight, 1);
    insta::assert_snapshot!(account(&loaded));
}

#[test]
fn a_clash_with_the_environment_names_the_variable() {
    let settings = settings("auth: none\n", &[("GATEWAY__PROVIDERS__0__NAME", "a")]);
    let loaded = settings.resolve(Some(&stored([record(PROVIDER, "a", "{}")])), &vocabulary()).unwrap();
    insta::assert_snapshot!(account(&loaded));
}

#[test]
fn no_message_repeats_a_secret() {
    let secrets = r#"{"api_key": ["hunter2"], "headers": {"a": "hunter2\n"}, "weight": "hunter2", "type": "hunter2",
        "api_base": "hunter2", "timeouts": {"idle": "hunter2"}, "enabled": "hunter2", "model_mapping": ["hunter2*", "hunter2\n"]}"#;
    let stored = stored([
        with_secrets(record(PROVIDER, "a", "{}"), secrets),
        with_secrets(record(PROVIDER, "b", "{}"), "hunter2: [*hunter2"),
        with_secrets(record(PROVIDER, "c", "{}"), "hunter2"),
        with_secrets(record(MODEL, "m", "{}"), r#"{"endpoint": "hunter2://x", "balance": "hunter2"}"#),
    ]);
    let loaded = resolved("auth: none\n", &stored);
    let account = account(&loaded);
    assert_eq!(loaded.left_out.len(), 4, "{account}");
    assert!(!account.contains("hunter2"), "{account}");
    assert!(!format!("{:?}", settings("admin: { key: hunter2-hunter2 }\n", &[])).contains("hunter2"));
}

#[test]
fn the_file_is_still_all_or_nothing() {
    let stored = stored([record(PROVIDER, "a", "{}"), record(PROVIDER, "bad", "[]")]);
    let errors = resolve("models: { m: { targets: [{ provider: b }] } }\nserver: { port: '${NO}' }\n", Some(&stored));
    insta::assert_snapshot!(errors.unwrap_err());
}

#[test]
fn settings_name_the_files_to_watch() {
    let directory = TempDir::new().unwrap();
    let environment = HashMap::from([("CONFIG_PATH".to_owned(), String::new())]);
    let sources = Sources { path: None, environment, working_directory: directory.path().to_owned() };
    let watched = [directory.path().join("config.yaml"), directory.path().join(".env")];
    let read = Settings::read(&sources).unwrap();
    assert_eq!((read.files(), read.origin()), (&watched[..], None));
    let named = Sources { path: Some("other.yaml".into()), ..sources };
    assert!(Settings::read(&named).is_err());
    std::fs::write(directory.path().join("other.yaml"), "auth: none").unwrap();
    let read = Settings::read(&named).unwrap();
    assert_eq!(read.files()[0], directory.path().join("other.yaml"));
    assert_eq!(read.origin(), Some("other.yaml".as_ref()));
}

/// Files, good and bad.
const FILES: [&str; 6] = [
    "auth: none\n",
    "providers: [{ name: a, model_mapping: { m: n, 'x-*': '*' } }, { name: b, enabled: false }]\nmodels: { m: { targets: [{ provider: a }] } }\n",
    "models: { a: { endpoint: 'https://example.com/x', fallback_models: [b] }, b: { endpoint: 'https://example.com/y' } }\n",
    "server: { port: '${UNSET}' }\n",
    "providers: [{ name: a }]\npassthrough: b\n",
    "- nothing\n",
];

proptest! {
    #[test]
    fn nothing_stored_is_as_good_as_no_store(index in 0..FILES.len()) {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("config.yaml"), FILES[index]).unwrap();
        let sources = Sources { path: None, environment: HashMap::new(), working_directory: directory.path().to_owned() };
        let resolved = Settings::read(&sources).unwrap().resolve(Some(&StoredSettings::default()), &vocabulary());
        match (load(&sources, &vocabulary()), resolved) {
            (Ok(one), Ok(other)) => {
                prop_assert_eq!(one.config, other.config);
                prop_assert_eq!((one.warnings, one.left_out), (other.warnings, other.left_out));
            }
            (one, other) => prop_assert_eq!(one.unwrap_err(), other.unwrap_err()),
        }
    }

    /// Whatever somebody writes into the store, the file's part is the same, and each entry is there or left out.
    #[test]
    fn no_entry_of_the_store_harms_the_file(
        index in 0..3_usize,
        texts in prop::collection::vec((any::<bool>(), "[a-c]|\\PC{0,6}", entry_text(), prop::option::of(entry_text())), 0..6),
    ) {
        let records = texts.iter().map(|(is_model, name, settings, secrets)| SettingsRecord {
            secrets: secrets.as_deref().map(Into::into),
            ..record(if *is_model { MODEL } else { PROVIDER }, name, settings)
        });
        let stored = stored(records);
        let (alone, both) = (resolved(FILES[index], &StoredSettings::default()), resolved(FILES[index], &stored));
        let of_file = |loaded: &Loaded| {
            let config = &loaded.config;
            let providers = config.providers.iter().chain(&config.disabled_providers);
            let providers = providers.filter(|it| it.origin == Origin::File).cloned().collect::<Vec<_>>();
            let models = config.models.iter().filter(|it| it.origin == Origin::File);
            (providers, models.map(|it| (it.name.clone(), it.fallback_models.clone())).collect::<Vec<_>>())
        };
        prop_assert_eq!(of_file(&alone), of_file(&both));
        let config = &both.config;
        let kept = config.providers.iter().chain(&config.disabled_providers).filter(|it| it.resolvable).map(|it| it.origin);
        let kept = kept.chain(config.models.iter().map(|it| it.origin)).filter(|origin| *origin != Origin::File);
        prop_assert_eq!(kept.count() + both.left_out.len(), stored.records.len());
        prop_assert!(config.models.iter().flat_map(|it| &it.targets).all(|it| it.provider < config.providers.len()));
    }
}

/// Something that might stand in a row.
fn entry_text() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        Just(r#""weight": 2"#.to_owned()),
        Just(r#""weight": "two""#.to_owned()),
        Just(r#""enabled": false"#.to_owned()),
        Just(r#""api_key": "sk""#.to_owned()),
        Just(r#""endpoint": "https://example.com/x""#.to_owned()),
        Just(r#""targets": [{"provider": "a"}, {"provider": "c"}]"#.to_owned()),
        Just(r#""fallback_models": ["b", "c"]"#.to_owned()),
        Just(r#""model_mapping": {"b": "*"}"#.to_owned()),
    ];
    let object = prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(", ")));
    prop_oneof![4 => object, 1 => "\\PC{0,12}"]
}
