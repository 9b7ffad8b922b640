//! The rules of Prometheus.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::dashboard;
use crate::families::Vocabulary;
use crate::place::{assert_none, files, list, text, word, yaml};
use crate::promql::Expression;

const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// Every rule of every file.
fn rules() -> Vec<Value> {
    let documents = files("prometheus/rules", ".yml").into_iter().map(|path| yaml(&path));
    let groups = documents.flat_map(|document| list(&document["groups"]).to_vec());
    groups.flat_map(|group| list(&group["rules"]).to_vec()).collect()
}

fn alerts() -> Vec<Value> {
    let alerts: Vec<_> = rules().into_iter().filter(|rule| rule["alert"].is_string()).collect();
    assert!(alerts.len() > 10, "only {} alerts", alerts.len());
    alerts
}

/// All series that rules may name, those of the recording rules included.
fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::of_the_gateway();
    for rule in rules().iter().filter(|rule| rule["record"].is_string()) {
        vocabulary.add_record(word(&rule["record"]), word(&rule["expr"]));
    }
    vocabulary
}

#[test]
fn every_rule_asks_for_what_there_is() {
    let vocabulary = vocabulary();
    let found: Vec<_> = rules().iter().flat_map(|rule| vocabulary.unknown(word(&rule["expr"]))).collect();
    assert_none("a rule names metrics, labels and values that there are:", &found);
}

#[test]
fn every_recorded_series_is_used() {
    let rules = rules();
    let used: BTreeSet<_> =
        rules.iter().flat_map(|rule| Expression::parse(word(&rule["expr"])).series).map(|series| series.name).collect();
    let idle = rules.iter().map(|rule| word(&rule["record"])).filter(|name| !name.is_empty() && !used.contains(*name));
    assert_none("a recorded series is one that an alert needs:", &idle.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn every_alert_says_what_it_is_and_what_to_do() {
    let vocabulary = vocabulary();
    let mut found = Vec::new();
    for alert in alerts() {
        let name = word(&alert["alert"]);
        let [summary, description] = ["summary", "description"].map(|key| word(&alert["annotations"][key]));
        let is_there = [
            ("a known severity", SEVERITIES.contains(&word(&alert["labels"]["severity"]))),
            ("a time to wait", alert["for"].is_string()),
            ("a summary", !summary.is_empty()),
            ("a next step", description.contains("Next: ")),
        ];
        let missing = is_there.iter().filter(|(_, is_there)| !is_there);
        found.extend(missing.map(|(what, _)| format!("{name}: has not {what}")));
        let labels = vocabulary.labels_of_result(&Expression::parse(word(&alert["expr"])));
        let shown = [summary, description].into_iter().flat_map(|text| text.split("$labels.").skip(1));
        let shown = shown.map(|rest| rest.split([' ', '}']).next().unwrap_or_default());
        let odd = shown.filter(|label| !labels.iter().any(|known| known == label));
        found.extend(odd.map(|label| format!("{name}: has no label {label} to show")));
    }
    assert_none("an alert can be acted upon:", &found);
}

#[test]
fn alerts_point_to_rows_of_the_dashboard_that_exist() {
    let dashboard = dashboard::read();
    let rows = dashboard::rows(&dashboard);
    let alerts = alerts();
    let named: BTreeSet<_> = alerts
        .iter()
        .flat_map(|alert| word(&alert["annotations"]["description"]).split("row \"").skip(1))
        .map(|rest| rest.split('"').next().unwrap_or_default())
        .collect();
    assert!(!named.is_empty() && named.is_subset(&rows), "{named:?} of {rows:?}");
}

#[test]
fn every_alert_is_tested() {
    let tests: String = files("prometheus/rules/tests", "_test.yml").iter().map(|path| text(path)).collect();
    let alerts = alerts();
    let names = alerts.iter().map(|alert| word(&alert["alert"]));
    let untested = names.filter(|name| !tests.contains(&format!(r#"alertname="{name}", alertstate="firing""#)));
    assert_none("a test makes an alert fire:", &untested.map(str::to_owned).collect::<Vec<_>>());
}
