//! Prometheus's own opinion of the files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateway_testing::find_program;
use serde_json::{Value, json};

use crate::dashboard::{self, expressions};
use crate::place::{deploy, files};

/// Runs `promtool`, if there is one, and panics if it finds anything wrong.
fn promtool(arguments: &[&str], paths: &[PathBuf]) {
    let Some(program) = find_program("promtool", &[]) else { return };
    let run = Command::new(program).args(arguments).args(paths).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "promtool {arguments:?} {paths:?}\n{said}\n{complained}");
}

#[test]
fn the_configuration_is_accepted() {
    promtool(&["check", "config"], &[deploy("prometheus/prometheus.yml")]);
}

#[test]
fn the_rules_are_accepted() {
    promtool(&["check", "rules"], &files("prometheus/rules", ".yml"));
}

#[test]
fn the_alerts_fire_when_they_should() {
    promtool(&["test", "rules"], &files("prometheus/rules/tests", "_test.yml"));
}

/// `promtool` reads rules only, so the expressions of the dashboard are made rules, with something in the place of variables.
#[test]
fn the_expressions_of_the_dashboard_are_accepted() {
    let rule = |(number, text): (usize, String)| {
        let text = text.replace("$__rate_interval", "5m").replace("$__range", "1h");
        json!({ "record": format!("panel:{number}"), "expr": text })
    };
    let texts = expressions(&dashboard::read()).into_iter().map(|expression| expression.text);
    let rules: Vec<Value> = texts.enumerate().map(rule).collect();
    assert!(rules.len() > 20, "the dashboard has only {} expressions", rules.len());
    let groups = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let file = Path::new(folder.path()).join("rules.yml");
    // JSON is YAML.
    fs::write(&file, groups.to_string()).unwrap();
    promtool(&["check", "rules"], &[file]);
}
