//! More targets of one name than a ranking can hold, and whatever else only a gateway would find to be impossible.

use std::fmt::Write as _;

use gateway_routing::MAX_TARGETS;

use super::*;

/// A file whose providers all have the same mapping, or none.
fn file(providers: usize, mapping: &str) -> String {
    let mut yaml = "auth: none\nproviders:\n".to_owned();
    for number in 0..providers {
        writeln!(yaml, "  - {{ name: f{number:02}{mapping} }}").unwrap();
    }
    yaml
}

fn rows(providers: usize, settings: &str) -> StoredSettings {
    stored((0..providers).map(|number| record(PROVIDER, &format!("s{number:02}"), settings)))
}

/// Which entries are left out, and why.
fn left_out(loaded: &Loaded) -> Vec<String> {
    loaded.left_out.iter().map(ToString::to_string).collect()
}

#[test]
fn the_entry_that_is_one_too_many_for_a_name_is_left_out() {
    let cases = [
        (
            r#"{"model_mapping": {"m": "n"}}"#,
            ", model_mapping: { m: n }",
            "model_mapping.m: 64 providers map this name already, the most that may",
        ),
        (
            r#"{"model_mapping": {"gpt-*": "*"}}"#,
            ", model_mapping: { 'gpt-*': '*' }",
            "model_mapping.gpt-*: 64 providers map this name already, the most that may",
        ),
        ("{}", "", "without a `model_mapping` it takes any name, as 64 providers do already, the most that may"),
    ];
    for (settings, mapping, problem) in cases {
        let all_stored = resolved("auth: none\n", &rows(MAX_TARGETS + 2, settings));
        let expected = ["s64", "s65"].map(|name| format!("provider `{name}` of the store is left out: {problem}"));
        assert_eq!(left_out(&all_stored), expected);
        assert_eq!(all_stored.config.providers.len(), MAX_TARGETS);

        let both = resolved(&file(MAX_TARGETS - 1, mapping), &rows(2, settings));
        assert_eq!(left_out(&both), [format!("provider `s01` of the store is left out: {problem}")]);
        assert_eq!(both.config.providers.len(), MAX_TARGETS);
    }
}

#[test]
fn in_the_file_it_is_an_error_with_its_position() {
    for (mapping, expected) in [
        (
            ", model_mapping: { m: n }",
            "config.yaml:67:38: providers[64].model_mapping.m: 64 providers map this name already, the most that may",
        ),
        (
            ", model_mapping: [m]",
            "config.yaml:67:34: providers[64].model_mapping[0]: 64 providers map this name already, the most that may",
        ),
        (
            "",
            "config.yaml:67:5: providers[64]: without a `model_mapping` it takes any name, as 64 providers do already, \
             the most that may",
        ),
    ] {
        let errors = resolve(&file(MAX_TARGETS + 1, mapping), Some(&StoredSettings::default())).unwrap_err();
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines, [expected]);
    }
}

/// Only those who are served have a share in the bound: not those that are switched off or are left out for another reason.
#[test]
fn those_that_serve_nobody_do_not_count() {
    let mut settings = rows(MAX_TARGETS, r#"{"model_mapping": ["m"]}"#);
    settings.records.extend([
        record(PROVIDER, "a-disabled", r#"{"model_mapping": ["m"], "enabled": false}"#),
        record(PROVIDER, "a-faulty", r#"{"model_mapping": ["m"], "weight": 0}"#),
        // It is too many for another name, and so has no share in `m`.
        record(PROVIDER, "s0", r#"{"model_mapping": ["m", "n"]}"#),
    ]);
    let loaded = resolved(&file(MAX_TARGETS, ", model_mapping: [n]"), &settings);
    assert_eq!(names(loaded.left_out.iter().map(|it| &it.name)), ["a-faulty", "s0"]);
    assert_eq!(loaded.config.providers.len(), 2 * MAX_TARGETS);
}

/// References to it are as good as those to any other that is left out, and others keep their targets.
#[test]
fn what_refers_to_it_goes_on_without() {
    let mut settings = rows(MAX_TARGETS + 1, r#"{"model_mapping": ["m"]}"#);
    settings.records.push(record(PROVIDER, "t", r#"{"model_mapping": ["x"]}"#));
    let yaml = "auth: none\nmodels:\n  c: { targets: [{ provider: s64 }, { provider: t }, { provider: s63 }] }\n";
    let loaded = resolved(yaml, &settings);
    assert_eq!(names(loaded.left_out.iter().map(|it| &it.name)), ["s64"]);
    let providers = &loaded.config.providers;
    let served: Vec<_> =
        loaded.config.models[0].targets.iter().map(|it| providers[it.provider].name.as_str()).collect();
    assert_eq!(served, ["t", "s63"]);
    assert_eq!(loaded.warnings, ["models.c.targets[0].provider: the provider of this name in the store is left out"]);
}

#[test]
fn a_model_has_as_many_targets_as_a_ranking_holds() {
    let targets = |count: usize| vec![r#"{"provider": "a"}"#; count].join(", ");
    let model = |name: &str, count| record(MODEL, name, &format!(r#"{{"targets": [{}]}}"#, targets(count)));
    let rows = stored([record(PROVIDER, "a", "{}"), model("fits", MAX_TARGETS), model("large", MAX_TARGETS + 1)]);
    let loaded = resolved("auth: none\n", &rows);
    let problem = "targets: the list has 65 targets; a model may have 64";
    assert_eq!(left_out(&loaded), [format!("model `large` of the store is left out: {problem}")]);

    let yaml = format!("providers: [{{ name: a }}]\nmodels: {{ m: {{ targets: [{}] }} }}\n", targets(MAX_TARGETS + 1));
    let errors = resolve(&yaml, Some(&StoredSettings::default())).unwrap_err();
    assert!(
        errors.to_string().contains(": models.m.targets: the list has 65 targets; a model may have 64"),
        "{errors}"
    );
}

#[test]
fn an_address_that_no_path_can_follow_is_left_out() {
    let long = format!("https://example.com/{}", "x".repeat(65_480));
    for base in ["http://[]/v1", "http://[::1/v1", long.as_str()] {
        let provider = record(PROVIDER, "a", &format!(r#"{{"api_base": "{base}"}}"#));
        let loaded = resolved("auth: none\n", &stored([provider]));
        assert_eq!(loaded.left_out.len(), 1, "{base:.40}");
        assert!(loaded.left_out[0].to_string().contains("api_base: "), "{}", loaded.left_out[0]);
    }
}

/// Nobody is kept waiting by rows in which everything is too many.
#[test]
fn every_name_of_an_entry_may_be_too_many() {
    let names: Vec<String> = (0..2_000).map(|name| format!("\"{name}\": \"x\"")).collect();
    let settings = format!("{{\"model_mapping\": {{{}}}}}", names.join(","));
    let loaded = resolved("auth: none\n", &rows(MAX_TARGETS + 2, &settings));
    assert_eq!((loaded.left_out.len(), loaded.config.providers.len()), (2, MAX_TARGETS));
    let text = loaded.left_out[0].to_string();
    assert!(text.contains("model_mapping.99: ") && text.ends_with("; and 1900 more"), "{text:.80}");
}
