//! What a gateway exports is what the dashboard and the rules are checked against.

use std::collections::{BTreeMap, BTreeSet};

use gateway_testing::client;
use gateway_tests::stage::Stage;

use crate::families::{FAMILIES, Kind};

#[tokio::test]
async fn a_gateway_that_was_just_started_exports_every_metric() {
    let stage = Stage::with("").await;
    let answer = client::get(stage.gateway.address(), "/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<_, _> = types.collect();
    let ours = FAMILIES.iter().map(|(name, ..)| *name).filter(|name| name.starts_with("llm_proxy_"));
    assert_eq!(
        types.keys().copied().collect::<BTreeSet<_>>(),
        ours.collect(),
        "what is exported, and what is known here"
    );
    for (name, kind, _) in FAMILIES.iter().filter(|(name, ..)| name.starts_with("llm_proxy_")) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(types.get(name), Some(&kind), "{name}: {text}");
        let help = format!("# HELP {name} ");
        assert!(text.lines().any(|line| line.starts_with(&help)), "{name} is not explained");
    }
}
