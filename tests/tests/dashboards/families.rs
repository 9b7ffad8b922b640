//! The metrics that operators are promised, and whether an expression asks for anything else.

use std::collections::BTreeMap;

use gateway_core::call::{Outcome, TimeoutPhase};

use crate::promql::{Expression, Matcher, Series};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric with its labels. To rename one breaks dashboards and alerts that people have made of it.
pub(crate) const FAMILIES: [(&str, Kind, &[&str]); 28] = [
    (
        "llm_proxy_requests_total",
        Kind::Counter,
        &["method", "endpoint", "model", "provider", "status_code", "api_key_name"],
    ),
    ("llm_proxy_request_duration_seconds", Kind::Histogram, &["endpoint", "model", "provider"]),
    ("llm_proxy_active_requests", Kind::Gauge, &["endpoint"]),
    ("llm_proxy_tokens_total", Kind::Counter, &["model", "provider", "token_type", "api_key_name"]),
    ("llm_proxy_estimated_requests_total", Kind::Counter, &["model", "provider"]),
    ("llm_proxy_provider_health", Kind::Gauge, &["provider"]),
    ("llm_proxy_provider_latency_seconds", Kind::Histogram, &["provider"]),
    ("llm_proxy_provider_circuit_state", Kind::Gauge, &["provider", "state"]),
    ("llm_proxy_provider_ejections_total", Kind::Counter, &["provider", "reason"]),
    ("llm_proxy_ttft_seconds", Kind::Histogram, &["model", "provider"]),
    ("llm_proxy_tokens_per_second", Kind::Histogram, &["model", "provider"]),
    ("llm_proxy_overhead_seconds", Kind::Histogram, &["endpoint"]),
    ("llm_proxy_attempts_total", Kind::Counter, &["provider", "outcome"]),
    ("llm_proxy_retries_total", Kind::Counter, &["model", "reason"]),
    ("llm_proxy_fallbacks_total", Kind::Counter, &["model", "reason"]),
    ("llm_proxy_rate_limited_total", Kind::Counter, &["api_key_name", "limit"]),
    ("llm_proxy_queue_depth", Kind::Gauge, &[]),
    ("llm_proxy_shed_total", Kind::Counter, &[]),
    ("llm_proxy_client_disconnects_total", Kind::Counter, &["provider"]),
    ("llm_proxy_truncated_streams_total", Kind::Counter, &["provider"]),
    ("llm_proxy_config_version", Kind::Gauge, &[]),
    ("llm_proxy_config_reloads_total", Kind::Counter, &["result"]),
    ("llm_proxy_cost_usd_total", Kind::Counter, &["model", "provider", "api_key_name"]),
    ("llm_proxy_log_lines_dropped_total", Kind::Counter, &[]),
    ("llm_proxy_traces_dropped_total", Kind::Counter, &[]),
    ("llm_proxy_usage_pending_requests", Kind::Gauge, &[]),
    // Prometheus's own.
    ("up", Kind::Gauge, &[]),
    ("ALERTS", Kind::Gauge, &["alertname", "alertstate", "severity"]),
];

/// Labels that Prometheus puts to every series when it scrapes.
const OF_THE_SCRAPE: [&str; 2] = ["job", "instance"];

/// The series that expressions may name: those of the gateway, and those that rules make of them.
pub(crate) struct Vocabulary(BTreeMap<String, Vec<String>>);

impl Vocabulary {
    /// The gateway's own series.
    pub(crate) fn of_the_gateway() -> Self {
        let mut known = BTreeMap::new();
        for (name, kind, labels) in FAMILIES {
            let labels: Vec<_> = labels.iter().chain(&OF_THE_SCRAPE).map(|&label| label.to_owned()).collect();
            if kind == Kind::Histogram {
                let with_le = labels.iter().cloned().chain(["le".to_owned()]).collect();
                known.insert(format!("{name}_bucket"), with_le);
                known.insert(format!("{name}_sum"), labels.clone());
                known.insert(format!("{name}_count"), labels);
            } else {
                known.insert(name.to_owned(), labels);
            }
        }
        Self(known)
    }

    /// Takes a series that a rule makes of an expression. It has the labels that the expression is grouped by, or all.
    pub(crate) fn add_record(&mut self, name: &str, text: &str) {
        let labels = self.labels_of_result(&Expression::parse(text));
        self.0.insert(name.to_owned(), labels);
    }

    /// The labels of what an expression gives.
    pub(crate) fn labels_of_result(&self, expression: &Expression) -> Vec<String> {
        if expression.by.is_empty() {
            let known = expression.series.iter().filter_map(|series| self.0.get(&series.name));
            return known.flatten().cloned().collect();
        }
        expression.by.iter().filter(|label| *label != "le").cloned().collect()
    }

    /// What an expression names that there is not.
    pub(crate) fn unknown(&self, text: &str) -> Vec<String> {
        let expression = Expression::parse(text);
        assert!(!expression.series.is_empty(), "{text} names no series");
        let mut unknown: Vec<_> = expression.series.iter().flat_map(|series| self.unknown_of(series)).collect();
        for label in expression.by.iter().chain(&expression.matching) {
            let series =
                expression.series.iter().filter(|it| self.0.get(&it.name).is_some_and(|it| !it.contains(label)));
            unknown.extend(series.map(|series| format!("{} has no label {label}: {text}", series.name)));
        }
        unknown
    }

    fn unknown_of(&self, series: &Series) -> Vec<String> {
        let name = &series.name;
        let Some(labels) = self.0.get(name) else { return vec![format!("there is no {name}")] };
        let faults = series.matchers.iter().filter_map(|it| {
            let Matcher { label, operator, value } = it;
            if !labels.contains(label) {
                return Some(format!("{name} has no label {label}"));
            }
            let is_regular = operator.ends_with('~');
            let mut values = value.split('|').take(if is_regular { usize::MAX } else { 1 });
            let known = values_of(label)?;
            let odd = values.find(|value| !known.contains(value))?;
            Some(format!("{name} has no {label} {odd}; it is one of {known:?}"))
        });
        faults.collect()
    }
}

/// The values of labels that have a fixed set of them.
fn values_of(label: &str) -> Option<Vec<&'static str>> {
    Some(match label {
        "result" => vec!["success", "failure"],
        "state" => vec!["closed", "open", "half_open"],
        "token_type" => vec!["prompt", "completion", "total", "cached"],
        "outcome" => outcomes(),
        _ => return None,
    })
}

fn outcomes() -> Vec<&'static str> {
    use TimeoutPhase::{Connect, FirstToken, Headers, Idle, Total};
    let timeouts = [Connect, Headers, FirstToken, Idle, Total].map(Outcome::Timeout);
    let others = [
        Outcome::Success,
        Outcome::ClientFault,
        Outcome::ContextLength,
        Outcome::ModelMissing,
        Outcome::CredentialsRejected,
        Outcome::RateLimited { retry_after: None },
        Outcome::Overloaded { retry_after: None },
        Outcome::ServerError,
        Outcome::InvalidResponse,
        Outcome::Transport,
        Outcome::Truncated,
        Outcome::Cancelled,
    ];
    others.into_iter().chain(timeouts).map(Outcome::name).collect()
}

#[test]
fn what_does_not_exist_is_found() {
    let mut vocabulary = Vocabulary::of_the_gateway();
    vocabulary.add_record("job:a:b", "sum by (job) (llm_proxy_queue_depth)");
    let cases = [
        (r#"sum by (job) (rate(llm_proxy_attempts_total{outcome!~"success|overloaded", provider="p"}[5m]))"#, 0),
        ("llm_proxy_no_such_thing", 1),
        // A histogram has no series of its own name, and nothing else has buckets.
        ("llm_proxy_ttft_seconds", 1),
        ("llm_proxy_requests_total_count", 1),
        (r#"llm_proxy_shed_total{provider="p"}"#, 1),
        (r#"llm_proxy_config_reloads_total{result="error"}"#, 1),
        (r#"llm_proxy_attempts_total{outcome=~"success|timeout"}"#, 1),
        ("sum by (model) (llm_proxy_attempts_total)", 1),
        ("sum by (le) (llm_proxy_ttft_seconds_count)", 1),
        ("llm_proxy_queue_depth > on (job) job:a:b", 0),
        ("llm_proxy_queue_depth > on (instance) job:a:b", 1),
        ("job:a:c", 1),
    ];
    for (text, count) in cases {
        let unknown = vocabulary.unknown(text);
        assert_eq!(unknown.len(), count, "{text}: {unknown:?}");
    }
}
