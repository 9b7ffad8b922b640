use gateway_call::{Event, Label, Observer, Outcome, RefusedBy, TimeoutPhase};

use crate::script::{Script, attempt, settled, tokens};
use gateway_telemetry::{CircuitState, Format, Metrics, ProviderReading, Readings, Reloads};

/// Every sample but those of a histogram's buckets, in the classic text format.
fn samples(metrics: &Metrics, readings: &Readings) -> Vec<String> {
    let text = metrics.encode(Format::Text, readings);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    lines.map(|line| line.strip_prefix("llm_proxy_").unwrap().to_owned()).collect()
}

/// The samples of one family.
fn family(metrics: &Metrics, name: &str) -> Vec<String> {
    let lines = samples(metrics, &Readings::default()).into_iter();
    lines.filter(|line| line.split(['{', ' ']).next() == Some(name)).collect()
}

/// A mix of everything that can happen to calls.
pub(crate) fn mix(metrics: &Metrics) -> Vec<Label> {
    let [key, big, small, main, spare] = ["team", "big", "small", "main", "spare"].map(Label::of);
    // Refused: no key; an unknown model; a limit, twice; no room.
    Script::default().run(metrics);
    Script { key: Some(key.clone()), status: 404, ..Script::default() }.run(metrics);
    let limited = RefusedBy::Limit("requests_per_minute");
    for _ in 0..2 {
        let entry = Some(big.clone());
        Script { key: Some(key.clone()), entry, status: 429, refused_by: Some(limited), ..Script::default() }
            .run(metrics);
    }
    Script { status: 503, refused_by: Some(RefusedBy::Room), ..Script::default() }.run(metrics);
    // Answered, at once.
    settled(&key, &big, &main).run(metrics);
    settled(&key, &big, &main).run(metrics);
    // Tried again, then elsewhere, and streamed.
    Script {
        attempts: vec![
            attempt(&main, &big, Outcome::ServerError, (0, 10)),
            attempt(&main, &big, Outcome::Timeout(TimeoutPhase::Headers), (12, 20)),
            attempt(&spare, &small, Outcome::Success, (32, 8)),
        ],
        stream: true,
        tokens: Some(tokens(20, 100)),
        duration: 2_040,
        first_byte: Some(40),
        ..settled(&key, &big, &main)
    }
    .run(metrics);
    // A hedge that won: neither a retry nor a fallback.
    Script {
        attempts: vec![
            attempt(&main, &big, Outcome::Cancelled, (0, 100)),
            attempt(&spare, &small, Outcome::Success, (50, 30)),
        ],
        tokens: None,
        cost_nano_usd: 0,
        ..settled(&key, &big, &main)
    }
    .run(metrics);
    // Broken off by the provider, and by the caller; the tokens are a guess.
    let mut guess = tokens(10, 5);
    guess.is_estimated = true;
    for (status, outcome) in [(200, Outcome::Truncated), (499, Outcome::Cancelled)] {
        Script {
            status,
            stream: true,
            attempts: vec![attempt(&main, &big, outcome, (0, 8))],
            tokens: Some(guess),
            first_byte: Some(9),
            ..settled(&key, &big, &main)
        }
        .run(metrics);
    }
    vec![key, big, small, main, spare]
}

pub(crate) fn readings() -> Readings {
    let provider = |name: &str, circuit, ejections| ProviderReading {
        name: Label::of(name),
        is_healthy: circuit == CircuitState::Closed,
        circuit,
        ejections,
    };
    Readings {
        config_version: 12,
        reloads: Reloads { success: 3, failure: 1 },
        queue_depth: 2,
        dropped_log_lines: 5,
        dropped_traces: 6,
        pending_usage: 7,
        providers: vec![
            provider("main", CircuitState::HalfOpen, vec![("failures", 2), ("latency", 1)]),
            provider("spare", CircuitState::Closed, Vec::new()),
        ],
    }
}

#[test]
fn every_family_counts_what_it_says() {
    let metrics = Metrics::new();
    let _names = mix(&metrics);
    let chat = r#"endpoint="/v1/chat/completions""#;
    let request = |model: &str, provider: &str, status: u16, key: &str, count: u32| {
        format!(
            r#"requests_total{{method="POST",{chat},model="{model}",provider="{provider}",status_code="{status}",api_key_name="{key}"}} {count}"#
        )
    };
    let expected = [
        request("big", "main", 200, "team", 3),
        request("big", "main", 499, "team", 1),
        request("big", "none", 429, "team", 2),
        request("big", "spare", 200, "team", 2),
        request("unknown", "none", 401, "unknown", 1),
        request("unknown", "none", 404, "team", 1),
        request("unknown", "none", 503, "unknown", 1),
    ];
    assert_eq!(family(&metrics, "requests_total"), expected);
    let expected = EXPECTED.replace("CHAT", chat);
    let rest: Vec<_> =
        samples(&metrics, &readings()).into_iter().filter(|line| !line.starts_with("requests_total{")).collect();
    assert_eq!(rest.join("\n"), expected.trim());
}

/// All but the first family, in order.
const EXPECTED: &str = r#"
request_duration_seconds_sum{CHAT,model="big",provider="main"} 0.036
request_duration_seconds_count{CHAT,model="big",provider="main"} 4
request_duration_seconds_sum{CHAT,model="big",provider="none"} 0.004
request_duration_seconds_count{CHAT,model="big",provider="none"} 2
request_duration_seconds_sum{CHAT,model="big",provider="spare"} 2.049
request_duration_seconds_count{CHAT,model="big",provider="spare"} 2
request_duration_seconds_sum{CHAT,model="unknown",provider="none"} 0.006
request_duration_seconds_count{CHAT,model="unknown",provider="none"} 3
active_requests{CHAT} 0
overhead_seconds_sum{CHAT} 0.00022
overhead_seconds_count{CHAT} 11
ttft_seconds_sum{model="big",provider="main"} 0.018
ttft_seconds_count{model="big",provider="main"} 2
ttft_seconds_sum{model="big",provider="spare"} 0.04
ttft_seconds_count{model="big",provider="spare"} 1
tokens_per_second_sum{model="big",provider="spare"} 50.0
tokens_per_second_count{model="big",provider="spare"} 1
tokens_total{model="big",provider="main",token_type="cached",api_key_name="team"} 16
tokens_total{model="big",provider="main",token_type="completion",api_key_name="team"} 20
tokens_total{model="big",provider="main",token_type="prompt",api_key_name="team"} 40
tokens_total{model="big",provider="main",token_type="total",api_key_name="team"} 60
tokens_total{model="big",provider="spare",token_type="cached",api_key_name="team"} 4
tokens_total{model="big",provider="spare",token_type="completion",api_key_name="team"} 100
tokens_total{model="big",provider="spare",token_type="prompt",api_key_name="team"} 20
tokens_total{model="big",provider="spare",token_type="total",api_key_name="team"} 120
estimated_requests_total{model="big",provider="main"} 2
cost_usd_total{model="big",provider="main",api_key_name="team"} 0.4
cost_usd_total{model="big",provider="spare",api_key_name="team"} 0.1
attempts_total{provider="main",outcome="cancelled"} 2
attempts_total{provider="main",outcome="headers_timeout"} 1
attempts_total{provider="main",outcome="server_error"} 1
attempts_total{provider="main",outcome="success"} 2
attempts_total{provider="main",outcome="truncated"} 1
attempts_total{provider="spare",outcome="success"} 2
provider_latency_seconds_sum{provider="main"} 0.016
provider_latency_seconds_count{provider="main"} 2
provider_latency_seconds_sum{provider="spare"} 0.038
provider_latency_seconds_count{provider="spare"} 2
retries_total{model="big",reason="server_error"} 1
fallbacks_total{model="big",reason="headers_timeout"} 1
rate_limited_total{api_key_name="team",limit="requests_per_minute"} 2
shed_total 1
client_disconnects_total{provider="main"} 1
truncated_streams_total{provider="main"} 1
provider_health{provider="main"} 0
provider_health{provider="spare"} 1
provider_circuit_state{provider="main",state="closed"} 0
provider_circuit_state{provider="main",state="open"} 0
provider_circuit_state{provider="main",state="half_open"} 1
provider_circuit_state{provider="spare",state="closed"} 1
provider_circuit_state{provider="spare",state="open"} 0
provider_circuit_state{provider="spare",state="half_open"} 0
provider_ejections_total{provider="main",reason="failures"} 2
provider_ejections_total{provider="main",reason="latency"} 1
queue_depth 2
config_version 12
config_reloads_total{result="success"} 3
config_reloads_total{result="failure"} 1
log_lines_dropped_total 5
traces_dropped_total 6
usage_pending_requests 7
"#;

#[test]
fn a_call_is_active_from_its_arrival_until_it_is_settled() {
    let (metrics, other) = (Metrics::new(), Script { path: "/v1/embeddings", ..Script::default() });
    other.run(&metrics);
    metrics.on_event(&Event::Arrived { path: "/v1/rerank" });
    metrics.on_event(&Event::Arrived { path: "/v1/rerank" });
    let active = family(&metrics, "active_requests");
    assert_eq!(
        active,
        [r#"active_requests{endpoint="/v1/embeddings"} 0"#, r#"active_requests{endpoint="/v1/rerank"} 2"#]
    );
}

#[test]
fn only_what_flows_has_a_rate() {
    let metrics = Metrics::new();
    let [key, model, provider] = ["rate-key", "rate-model", "rate-provider"].map(Label::of);
    let stream = || Script { stream: true, first_byte: Some(4), duration: 14, ..settled(&key, &model, &provider) };
    stream().run(&metrics);
    // In one piece, or nearly so; without tokens; without a first byte; no stream.
    Script { duration: 4, ..stream() }.run(&metrics);
    Script { duration: 13, ..stream() }.run(&metrics);
    Script { tokens: Some(tokens(10, 0)), ..stream() }.run(&metrics);
    Script { tokens: None, ..stream() }.run(&metrics);
    Script { first_byte: None, ..stream() }.run(&metrics);
    Script { stream: false, ..stream() }.run(&metrics);
    let labels = r#"{model="rate-model",provider="rate-provider"}"#;
    assert_eq!(family(&metrics, "tokens_per_second_count"), [format!("tokens_per_second_count{labels} 1")]);
    assert_eq!(family(&metrics, "tokens_per_second_sum"), [format!("tokens_per_second_sum{labels} 500.0")]);
    assert_eq!(family(&metrics, "ttft_seconds_count"), [format!("ttft_seconds_count{labels} 5")]);
}

#[test]
fn an_attempt_follows_another_only_when_that_is_over() {
    let metrics = Metrics::new();
    let [key, one, other, provider] = ["sequel-key", "sequel-1", "sequel-2", "sequel-provider"].map(Label::of);
    // The hedge begins a moment before the end of the first; the last at the very moment when the hedge is over.
    let attempts = vec![
        attempt(&provider, &one, Outcome::Transport, (0, 10)),
        attempt(&provider, &one, Outcome::ServerError, (9, 10)),
        attempt(&provider, &one, Outcome::Truncated, (19, 10)),
        attempt(&provider, &other, Outcome::Success, (30, 10)),
    ];
    Script { attempts, ..settled(&key, &one, &provider) }.run(&metrics);
    assert_eq!(family(&metrics, "retries_total"), [r#"retries_total{model="sequel-1",reason="server_error"} 1"#]);
    assert_eq!(family(&metrics, "fallbacks_total"), [r#"fallbacks_total{model="sequel-1",reason="truncated"} 1"#]);
}

#[test]
fn a_hedge_is_neither_a_retry_nor_a_fallback_whatever_else_has_failed() {
    let metrics = Metrics::new();
    let [key, model, provider] = ["hedged-key", "hedged-model", "hedged-provider"].map(Label::of);
    let attempts = vec![
        attempt(&provider, &model, Outcome::ServerError, (0, 30)),
        attempt(&provider, &model, Outcome::Transport, (10, 5)),
        // Beside the first, though the second is over.
        attempt(&provider, &model, Outcome::Truncated, (20, 5)),
        // When all are over, of which the first was the last.
        attempt(&provider, &model, Outcome::Success, (30, 10)),
    ];
    Script { attempts, ..settled(&key, &model, &provider) }.run(&metrics);
    let expected = [r#"retries_total{model="hedged-model",reason="server_error"} 1"#];
    assert_eq!(family(&metrics, "retries_total"), expected);
}

#[test]
fn a_call_counts_for_the_provider_whose_answer_its_caller_got() {
    let metrics = Metrics::new();
    let [key, model, won, lost] = ["race-key", "race-model", "race-won", "race-lost"].map(Label::of);
    let hedge =
        || vec![attempt(&won, &model, Outcome::Success, (0, 30)), attempt(&lost, &model, Outcome::Cancelled, (10, 20))];
    Script { attempts: hedge(), answering: Some(0), ..settled(&key, &model, &won) }.run(&metrics);
    // Broken off after it began.
    let mut broken = hedge();
    broken[0].outcome = Outcome::Truncated;
    Script { attempts: broken, answering: Some(0), stream: true, ..settled(&key, &model, &won) }.run(&metrics);
    let labels = |provider| format!(r#"{{endpoint="/v1/chat/completions",model="race-model",provider="{provider}"}}"#);
    let counts = family(&metrics, "request_duration_seconds_count");
    assert_eq!(counts, [format!("request_duration_seconds_count{} 2", labels("race-won"))]);
    let truncated = family(&metrics, "truncated_streams_total");
    assert_eq!(truncated, [r#"truncated_streams_total{provider="race-won"} 1"#]);
}

#[test]
fn values_fall_into_the_buckets_that_they_belong_to() {
    let metrics = Metrics::new();
    for (duration, overhead_us) in [(1, 10), (2, 11), (700_000, 200_000)] {
        Script { duration, overhead_us, ..Script::default() }.run(&metrics);
    }
    let text = metrics.encode(Format::Text, &Readings::default());
    for (family, edge, expected) in [
        ("request_duration_seconds", "0.001", 1),
        ("request_duration_seconds", "0.0025", 2),
        ("request_duration_seconds", "600.0", 2),
        ("request_duration_seconds", "+Inf", 3),
        ("overhead_seconds", "0.00001", 1),
        ("overhead_seconds", "0.000025", 2),
        ("overhead_seconds", "0.1", 2),
        ("overhead_seconds", "+Inf", 3),
    ] {
        let start = format!("llm_proxy_{family}_bucket{{le=\"{edge}\",");
        let line = text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no {start} in {text}"));
        assert!(line.ends_with(&format!("}} {expected}")), "{line}");
    }
}

#[test]
fn the_formats_differ_where_counters_are_named_and_at_the_end() {
    let metrics = Metrics::new();
    let _names = mix(&metrics);
    let text = metrics.encode(Format::Text, &readings());
    let open_metrics = metrics.encode(Format::OpenMetrics, &readings());
    for line in
        ["# TYPE llm_proxy_requests_total counter\n", "# HELP llm_proxy_shed_total ", "\nllm_proxy_shed_total 1\n"]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
    for line in ["# TYPE llm_proxy_requests counter\n", "# HELP llm_proxy_shed ", "\nllm_proxy_shed_total 1\n"] {
        assert!(open_metrics.contains(line), "{line} in {open_metrics}");
    }
    assert!(!text.contains("# EOF") && !text.contains("# UNIT") && !text.contains("_total_total"));
    let samples =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&text), samples(&open_metrics));
    assert!(open_metrics.ends_with("\n# EOF\n"));
}
