use gateway_call::{Label, Outcome};

use crate::script::{Script, attempt, settled};
use gateway_telemetry::{Format, Metrics, Readings};

fn text(metrics: &Metrics) -> String {
    metrics.encode(Format::Text, &Readings::default())
}

/// The values of `requests_total`, by the series' key and model.
fn requests(metrics: &Metrics) -> Vec<(String, String, u64)> {
    let text = text(metrics);
    let lines = text.lines().filter_map(|line| line.strip_prefix("llm_proxy_requests_total{"));
    let label = |line: &str, name: &str| {
        let start = line.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        line[start..].split('"').next().unwrap().to_owned()
    };
    let row = |line: &str| {
        let count = line.rsplit(' ').next().unwrap().parse().unwrap();
        (label(line, "api_key_name"), label(line, "model"), count)
    };
    lines.map(row).collect()
}

#[test]
fn what_belongs_to_a_name_that_is_gone_is_not_exported() {
    let metrics = Metrics::new();
    let [stays, model] = ["gone-stays", "gone-model"].map(Label::of);
    let [key, provider] = ["gone-key", "gone-provider"].map(Label::of);
    settled(&stays, &model, &provider).run(&metrics);
    settled(&key, &model, &provider).run(&metrics);
    assert!(text(&metrics).contains("gone-key") && text(&metrics).contains("gone-provider"));
    drop(key);
    assert!(!text(&metrics).contains("gone-key"));
    assert!(text(&metrics).contains("gone-stays"));
    drop(provider);
    let text = text(&metrics);
    assert!(!text.contains("gone-provider") && !text.contains("gone-stays"), "{text}");
}

#[test]
fn whoever_takes_a_name_again_begins_at_zero() {
    let metrics = Metrics::new();
    let [model, provider] = ["again-model", "again-provider"].map(Label::of);
    let row = |count| vec![("again-key".to_owned(), "again-model".to_owned(), count)];
    for scrapes_between in [true, false] {
        let key = Label::of("again-key");
        for _ in 0..3 {
            settled(&key, &model, &provider).run(&metrics);
        }
        assert_eq!(requests(&metrics), row(3));
        drop(key);
        if scrapes_between {
            assert_eq!(requests(&metrics), []);
        }
    }
    let key = Label::of("again-key");
    settled(&key, &model, &provider).run(&metrics);
    assert_eq!(requests(&metrics), row(1));
}

#[test]
fn a_name_that_a_reload_keeps_keeps_its_count() {
    let metrics = Metrics::new();
    let [key, model, provider] = ["kept-key", "kept-model", "kept-provider"].map(Label::of);
    settled(&key, &model, &provider).run(&metrics);
    let next = Label::of("kept-key");
    drop(key);
    settled(&next, &model, &provider).run(&metrics);
    assert_eq!(requests(&metrics), [("kept-key".to_owned(), "kept-model".to_owned(), 2)]);
}

#[test]
fn names_are_escaped() {
    let metrics = Metrics::new();
    let [key, model, provider] = ["a \"b\"", "c\\d", "e\nf"].map(Label::of);
    settled(&key, &model, &provider).run(&metrics);
    let text = text(&metrics);
    let expected = r#"model="c\\d",provider="e\nf",status_code="200",api_key_name="a \"b\""} 1"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_name_that_reads_like_a_constant_is_that_constant() {
    let metrics = Metrics::new();
    let [key, model, provider] = ["unknown", "other", "none"].map(Label::of);
    settled(&key, &model, &provider).run(&metrics);
    Script { key: None, ..settled(&key, &model, &provider) }.run(&metrics);
    assert_eq!(requests(&metrics), [("unknown".to_owned(), "other".to_owned(), 2)]);
}

#[test]
fn what_there_is_no_room_for_is_counted_without_names() {
    let metrics = Metrics::with_room_for(3);
    let [model, provider] = ["room-model", "room-provider"].map(Label::of);
    let keys: Vec<_> = (0..6).map(|number| Label::of(&format!("room-{number}"))).collect();
    for key in keys.iter().chain(&keys) {
        settled(key, &model, &provider).run(&metrics);
    }
    let row = |key: &str, model: &str, count| (key.to_owned(), model.to_owned(), count);
    let named = (0..3).map(|number| row(&format!("room-{number}"), "room-model", 2));
    let expected: Vec<_> = [row("other", "other", 6)].into_iter().chain(named).collect();
    assert_eq!(requests(&metrics), expected);
    // Those that go make room.
    drop(keys);
    assert_eq!(requests(&metrics), [row("other", "other", 6)]);
    let key = Label::of("room-new");
    settled(&key, &model, &provider).run(&metrics);
    assert_eq!(requests(&metrics), [row("other", "other", 6), row("room-new", "room-model", 1)]);
}

#[test]
fn attempts_at_models_that_there_is_no_room_for_are_counted_by_provider() {
    let metrics = Metrics::with_room_for(2);
    let [key, provider] = ["crowd-key", "crowd-provider"].map(Label::of);
    let models: Vec<_> = (0..4).map(|number| Label::of(&format!("crowd-{number}"))).collect();
    for model in &models {
        let attempts = vec![
            attempt(&provider, model, Outcome::Transport, (0, 1)),
            attempt(&provider, model, Outcome::Transport, (1, 1)),
        ];
        Script { attempts, ..settled(&key, model, &provider) }.run(&metrics);
    }
    let text = text(&metrics);
    for line in [
        r#"attempts_total{provider="crowd-provider",outcome="transport"} 8"#,
        r#"retries_total{model="crowd-0",reason="transport"} 1"#,
        r#"retries_total{model="other",reason="transport"} 3"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
