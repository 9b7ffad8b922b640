//! The dashboard of Grafana.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::families::Vocabulary;
use crate::place::{assert_none, deploy, list, text, word};
use crate::promql::Expression;

/// Variables that Grafana sets by itself.
const BUILT_IN: [&str; 2] = ["__rate_interval", "__range"];

/// What a panel, a variable or an annotation asks Prometheus.
pub(crate) struct Asked {
    /// Who asks.
    pub(crate) by: String,
    pub(crate) text: String,
    /// How each series of the answer is called.
    pub(crate) legend: String,
}

pub(crate) fn read() -> Value {
    serde_json::from_str(&text(&deploy("grafana/dashboards/gateway.json"))).expect("the dashboard is JSON")
}

/// Every expression of a dashboard.
pub(crate) fn expressions(dashboard: &Value) -> Vec<Asked> {
    let of_panels = list(&dashboard["panels"]).iter().flat_map(|panel| {
        list(&panel["targets"]).iter().map(|target| Asked {
            by: word(&panel["title"]).to_owned(),
            text: word(&target["expr"]).to_owned(),
            legend: word(&target["legendFormat"]).to_owned(),
        })
    });
    let annotations = list(&dashboard["annotations"]["list"]).iter().filter(|it| it["expr"].is_string());
    let of_annotations = annotations.map(|it| Asked {
        by: word(&it["name"]).to_owned(),
        text: word(&it["expr"]).to_owned(),
        legend: format!("{{{{{}}}}}", word(&it["tagKeys"])),
    });
    of_panels.chain(of_annotations).collect()
}

/// The titles of a dashboard's rows.
pub(crate) fn rows(dashboard: &Value) -> BTreeSet<&str> {
    let rows = list(&dashboard["panels"]).iter().filter(|panel| panel["type"] == "row");
    rows.map(|row| word(&row["title"])).collect()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row")
}

fn variables(dashboard: &Value) -> BTreeSet<&str> {
    list(&dashboard["templating"]["list"]).iter().map(|variable| word(&variable["name"])).collect()
}

/// The variables that a text uses: `$name` or `${name}`.
fn used(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

/// The labels that a legend or a template shows: what stands in pairs of braces.
fn shown(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or_default().trim())
}

#[test]
fn every_expression_asks_for_what_there_is() {
    let vocabulary = Vocabulary::of_the_gateway();
    let mut found = Vec::new();
    for Asked { by, text, legend } in expressions(&read()) {
        found.extend(vocabulary.unknown(&text).into_iter().map(|fault| format!("{by}: {fault}")));
        let labels = vocabulary.labels_of_result(&Expression::parse(&text));
        let odd = shown(&legend).filter(|label| !labels.iter().any(|known| known == label));
        found.extend(odd.map(|label| format!("{by}: {text} gives no {label}")));
    }
    assert_none("an expression names metrics, labels and values that the gateway exports:", &found);
}

#[test]
fn variables_are_declared_and_used() {
    let dashboard = read();
    let declared = variables(&dashboard);
    assert_eq!(declared, BTreeSet::from(["datasource", "key", "model", "provider"]));
    let written = dashboard.to_string();
    let all: BTreeSet<&str> = used(&written).collect();
    let odd: Vec<_> = all.iter().filter(|name| !declared.contains(*name) && !BUILT_IN.contains(*name)).collect();
    // Grafana's own name for all values of a variable.
    assert!(odd.iter().all(|name| ***name == *"__all"), "used and not declared: {odd:?}");
    assert!(declared.is_subset(&all), "declared and not used: {:?}", declared.difference(&all));
}

#[test]
fn the_values_of_variables_come_from_labels_that_exist() {
    let vocabulary = Vocabulary::of_the_gateway();
    let dashboard = read();
    let variables = list(&dashboard["templating"]["list"]).iter().filter(|variable| variable["type"] == "query");
    let queries: Vec<_> = variables.map(|variable| word(&variable["query"]["query"])).collect();
    assert_eq!(queries.len(), 3);
    for query in queries {
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).expect(query);
        let (series, label) = inner.split_once(", ").expect(query);
        assert_none("a variable lists a label's values:", &vocabulary.unknown(&format!("sum by ({label}) ({series})")));
    }
}

#[test]
fn every_panel_can_be_read() {
    let dashboard = read();
    let mut found = Vec::new();
    for panel in panels(&dashboard) {
        let title = word(&panel["title"]);
        let defaults = &panel["fieldConfig"]["defaults"];
        let is_there = [
            ("a title", !title.is_empty()),
            ("a unit", !word(&defaults["unit"]).is_empty()),
            ("the chosen data source", panel["datasource"]["uid"] == "${datasource}"),
            ("an expression", !list(&panel["targets"]).is_empty()),
        ];
        let missing = is_there.iter().filter(|(_, is_there)| !is_there);
        found.extend(missing.map(|(what, _)| format!("{} {title}: has not {what}", panel["id"])));
        let targets = list(&panel["targets"]);
        let letters: BTreeSet<_> = targets.iter().map(|target| word(&target["refId"])).collect();
        if letters.len() < targets.len() || targets.iter().any(|it| it["datasource"]["uid"] != "${datasource}") {
            found.push(format!("{title}: an expression without a letter of its own, or of another data source"));
        }
    }
    assert_none("a panel says what it shows, and in which unit:", &found);
}

#[test]
fn panels_have_a_number_and_a_place_of_their_own() {
    let dashboard = read();
    let all = list(&dashboard["panels"]);
    let numbers: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().expect("a number")).collect();
    assert_eq!(numbers.len(), all.len(), "two panels with one id");
    let mut places = BTreeSet::new();
    for panel in all {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{}: wider than the grid", panel["title"]);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{}: lies over another panel", panel["title"]);
        }
    }
}

#[test]
fn what_operators_look_for_has_a_row() {
    let dashboard = read();
    let rows = rows(&dashboard);
    let wanted = [
        "Traffic",
        "Latency",
        "Tokens and cost",
        "Providers",
        "Retries and fallbacks",
        "Limits and shedding",
        "Truncated streams and disconnects",
        "Configuration and process",
    ];
    assert!(wanted.iter().all(|row| rows.contains(row)), "{rows:?}");
    // So old that every Grafana from 11 on reads it.
    assert_eq!(dashboard["schemaVersion"], 39);
}

/// Nothing is promised that nobody can see.
#[test]
fn every_metric_is_shown() {
    let texts: String = expressions(&read()).into_iter().map(|asked| asked.text + " ").collect();
    let names = crate::families::FAMILIES.iter().map(|(name, ..)| *name);
    let unseen: Vec<_> =
        names.filter(|name| name.starts_with("llm_proxy_") && !texts.contains(name)).map(str::to_owned).collect();
    assert_none("a metric has a panel:", &unseen);
}
