//! `/metrics` as tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use gateway_testing::client;
use gateway_tests::patience::until;

/// Series, as they are written, with their values.
pub(crate) type Samples = BTreeMap<String, f64>;

/// What a gateway exports. Panics if it does not answer.
pub(crate) async fn scrape(gateway: SocketAddr) -> String {
    let answer = client::get(gateway, "/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// How often a configuration was loaded and found good, the one in force included.
pub(crate) const LOADED: &str = r#"llm_proxy_config_reloads_total{result="success"}"#;

/// Waits until the files were looked at for the first time, right behind the start, which counts as one that was loaded.
pub(crate) async fn files_are_watched(gateway: SocketAddr) {
    let is_loaded = async || (value(&scrape(gateway).await, LOADED) > 0.0).then_some(());
    until("the files to be looked at", is_loaded).await;
}

/// All samples. Panics at a line that is none, and at a series that is there twice.
pub(crate) fn samples(text: &str) -> Samples {
    let mut samples = Samples::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line} is no sample"));
        let value = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} is there twice");
    }
    samples
}

/// The same without what depends on how long things took: of histograms, only how much was counted.
pub(crate) fn counted(text: &str) -> Samples {
    let mut samples = samples(text);
    samples.retain(|series, _| {
        let name = series.split('{').next().unwrap_or_default();
        // Whether a stream has a rate depends on how long it took.
        !(name.ends_with("_bucket") || name.ends_with("_sum") || name == "llm_proxy_tokens_per_second_count")
    });
    samples
}

/// The value of one series; 0 if there is none.
pub(crate) fn value(text: &str, series: &str) -> f64 {
    samples(text).get(series).copied().unwrap_or_default()
}

/// How many calls are counted, of whatever kind.
pub(crate) fn requests(text: &str) -> f64 {
    samples(text).iter().filter(|(series, _)| series.starts_with("llm_proxy_requests_total{")).map(|it| it.1).sum()
}

/// All values that a label has anywhere.
pub(crate) fn label_values(text: &str, label: &str) -> BTreeSet<String> {
    let (first, further) = (format!("{{{label}=\""), format!(",{label}=\""));
    let of_series = |series: &String| {
        let (_, rest) = series.split_once(&first).or_else(|| series.split_once(&further))?;
        rest.split('"').next().map(str::to_owned)
    };
    samples(text).keys().filter_map(of_series).collect()
}

#[test]
fn samples_are_read() {
    let text = "# HELP a A.\na{x=\"1 2\",y=\"3\"} 4\nb_bucket{le=\"1.0\"} 5\nb_count 6\n";
    assert_eq!(counted(text), samples("a{x=\"1 2\",y=\"3\"} 4\nb_count 6"));
    assert_eq!((value(text, "b_count"), value(text, "c")), (6.0, 0.0));
    assert_eq!((label_values(text, "x").len(), label_values(text, "y").pop_first().as_deref()), (1, Some("3")));
}
