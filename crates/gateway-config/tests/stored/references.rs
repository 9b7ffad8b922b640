//! References to what the store has, has and cannot use, or might have.

use super::*;

const FILE: &str = "
auth: none
passthrough: s
providers: [{ name: a, model_mapping: [x] }]
models:
  direct: { targets: [{ provider: s }] }
  both: { targets: [{ provider: s }, { provider: a }] }
  mapped: {}
  failing: { targets: [{ provider: a }], fallback_models: [direct, stored, mapped-by-s, a/x] }
";

#[test]
fn without_a_store_they_are_errors() {
    insta::assert_snapshot!(resolve(FILE, Some(&StoredSettings::default())).unwrap_err());
}

#[test]
fn before_the_store_is_read_they_lead_nowhere() {
    let loaded = resolve(FILE, None).unwrap();
    insta::assert_snapshot!(account(&loaded));
    assert_eq!(loaded.config.withheld_models, ["direct"]);
}

#[test]
fn once_it_is_read_they_lead_there() {
    let stored = stored([
        record(PROVIDER, "s", r#"{"model_mapping": ["mapped", "mapped-by-s"]}"#),
        record(MODEL, "stored", r#"{"targets": [{"provider": "s"}]}"#),
    ]);
    let loaded = resolved(FILE, &stored);
    insta::assert_snapshot!(account(&loaded));
    assert_eq!(loaded.config.passthrough, Some(1));
    assert_eq!(loaded.config.withheld_models, [""; 0]);
    assert_eq!(loaded.config.models[3].fallback_models, ["direct", "stored", "mapped-by-s", "a/x"]);
}

#[test]
fn what_rests_on_what_is_left_out_is_withheld() {
    let faulty = stored([record(PROVIDER, "s", r#"{"weight": 0}"#), record(MODEL, "stored", r#"{"balance": "no"}"#)]);
    let sealed = StoredSettings {
        records: Vec::new(),
        unreadable: vec![unreadable(PROVIDER, "s"), unreadable(MODEL, "stored")],
    };
    let accounts = [faulty, sealed].map(|stored| {
        let loaded = resolved(FILE, &stored);
        assert_eq!(
            loaded.config.withheld_models,
            ["direct", "stored"],
            "their calls are not for whoever takes any name"
        );
        account(&loaded)
    });
    insta::assert_snapshot!(accounts.join("\n\n"));
}

#[test]
fn a_model_that_is_left_out_takes_no_other_with_it() {
    let model = |name: &str, fallbacks: &str| {
        let settings = format!(r#"{{"targets": [{{"provider": "a"}}], "fallback_models": {fallbacks}}}"#);
        record(MODEL, name, &settings)
    };
    let stored = stored([
        model("1", r#"["2", "3"]"#),
        model("2", r#"["3"]"#),
        model("3", r#"["1", "nowhere"]"#),
        model("4", r#"["4"]"#),
        model("5", r#"["x", "4"]"#),
    ]);
    let file = "
auth: none
providers: [{ name: a, model_mapping: [x] }]
models: { m: { targets: [{ provider: a }], fallback_models: ['3', '1'] } }
";
    let loaded = resolved(file, &stored);
    insta::assert_snapshot!(account(&loaded));
    assert_eq!(loaded.config.models[0].fallback_models, ["3", "1"]);
}

#[test]
fn a_disabled_provider_of_the_store_is_one_like_others() {
    let stored = stored([record(PROVIDER, "s", r#"{"enabled": false, "model_mapping": ["m"]}"#)]);
    let file = "auth: none\nmodels: { m: { fallback_models: [n] }, n: { targets: [{ provider: s }] } }\n";
    let loaded = resolved(file, &stored);
    insta::assert_snapshot!(account(&loaded));
    assert_eq!(loaded.config.withheld_models, [""; 0], "somebody has said that it is not to serve");
    let errors = resolve("passthrough: s\n", Some(&stored)).unwrap_err();
    assert!(errors.to_string().contains("the provider is disabled"), "{errors}");
}

fn tolerated(yaml: &str, stored: &StoredSettings) -> Loaded {
    settings(yaml, &[]).resolve_tolerantly(Some(stored), &vocabulary()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn where_the_store_may_have_lost_them_they_lead_nowhere() {
    let loaded = tolerated(FILE, &StoredSettings::default());
    insta::assert_snapshot!(account(&loaded));
    assert_eq!(loaded.config.passthrough, None);
    let targets: Vec<usize> = loaded.config.models.iter().map(|it| it.targets.len()).collect();
    assert_eq!(targets, [0, 1, 0, 1]);
}

/// What else is wrong with the file is an error as ever, and an entry of the store answers for its own references.
#[test]
fn only_references_of_the_file_are_tolerated() {
    let stored = stored([
        record(PROVIDER, "b", r#"{"weight": 0}"#),
        record(MODEL, "n", r#"{"targets": [{"provider": "s"}]}"#),
        record(MODEL, "o", r#"{"targets": [{"provider": "a"}], "fallback_models": ["nowhere"]}"#),
        record(MODEL, "p", "{}"),
    ]);
    insta::assert_snapshot!(account(&tolerated(FILE, &stored)));
    let faulty = format!("{FILE}server: {{ port: none }}\n");
    let errors =
        settings(&faulty, &[]).resolve_tolerantly(Some(&StoredSettings::default()), &vocabulary()).unwrap_err();
    assert!(errors.iter().all(|error| error.path == "server.port"), "{errors}");
}

#[test]
fn a_store_that_is_not_read_yet_is_the_same_to_those_who_tolerate() {
    let tolerant = settings(FILE, &[]).resolve_tolerantly(None, &vocabulary()).unwrap();
    assert_eq!(account(&tolerant), account(&resolve(FILE, None).unwrap()));
}
