//! Calls of every kind, counted exactly, and alike by everybody who counts.

use gateway_testing::{FakeUpstream, Script};
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, PROVIDER_KEY, authorized};
use gateway_tests::stream::{Events, STREAMED_CALL, finish, role, text};
use gateway_tests::wire::Wire;
use serde_json::Value;

use crate::exposition::{Samples, counted, files_are_watched, requests, samples, scrape};

/// Two providers with prices; a model that is tried once and then left for another; a key that may make one call.
const CONFIG: &str = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    api_key: "${PROVIDER_KEY}"
    model_mapping:
      gpt-4o: { mapped_model: gpt-4o-2024, input_cost_per_million_tokens: 2.5, output_cost_per_million_tokens: 10 }
      fragile: fragile-1
  - name: spare
    api_base: "${OTHER}"
    api_key: "${PROVIDER_KEY}"
    model_mapping:
      steady: { mapped_model: steady-1, input_cost_per_million_tokens: 1, output_cost_per_million_tokens: 4 }
models:
  fragile: { max_retries: 0, fallback_models: [steady] }
retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
  - { name: narrow, key: sk-narrow-8c1e40d2b7, rate_limit: { limit: 1, period_seconds: 86400 } }
"#;

const NARROW: &str = "sk-narrow-8c1e40d2b7";

/// How many calls [`make_calls`] makes.
const CALLS: u64 = 14;

/// What is exported after them, apart from what depends on time. A call that was refused has neither model nor provider, one that
/// nobody had the key for no key; one that fell back is counted under the model that it asked for and the provider that answered.
///
/// Of the two streams without a report, 8 tokens of prompt are a quarter of the request's bytes, and 10 of the answer those of its text.
const EXPECTED: &str = r#"
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="gpt-4o",provider="main",status_code="200",api_key_name="team"} 4
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="gpt-4o",provider="main",status_code="200",api_key_name="narrow"} 1
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="gpt-4o",provider="main",status_code="400",api_key_name="team"} 1
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="gpt-4o",provider="main",status_code="499",api_key_name="team"} 2
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="fragile",provider="spare",status_code="200",api_key_name="team"} 1
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="unknown",provider="none",status_code="401",api_key_name="unknown"} 1
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="unknown",provider="none",status_code="404",api_key_name="team"} 1
llm_proxy_requests_total{method="POST",endpoint="/v1/chat/completions",model="unknown",provider="none",status_code="429",api_key_name="narrow"} 1
llm_proxy_requests_total{method="GET",endpoint="/v1/models",model="unknown",provider="none",status_code="200",api_key_name="team"} 1
llm_proxy_requests_total{method="POST",endpoint="unknown",model="unknown",provider="none",status_code="404",api_key_name="unknown"} 1
llm_proxy_request_duration_seconds_count{endpoint="/v1/chat/completions",model="gpt-4o",provider="main"} 8
llm_proxy_request_duration_seconds_count{endpoint="/v1/chat/completions",model="fragile",provider="spare"} 1
llm_proxy_request_duration_seconds_count{endpoint="/v1/chat/completions",model="unknown",provider="none"} 3
llm_proxy_request_duration_seconds_count{endpoint="/v1/models",model="unknown",provider="none"} 1
llm_proxy_request_duration_seconds_count{endpoint="unknown",model="unknown",provider="none"} 1
llm_proxy_overhead_seconds_count{endpoint="/v1/chat/completions"} 12
llm_proxy_overhead_seconds_count{endpoint="/v1/models"} 1
llm_proxy_overhead_seconds_count{endpoint="unknown"} 1
llm_proxy_active_requests{endpoint="/v1/chat/completions"} 0
llm_proxy_active_requests{endpoint="/v1/models"} 0
llm_proxy_active_requests{endpoint="unknown"} 0
llm_proxy_ttft_seconds_count{model="gpt-4o",provider="main"} 3
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="prompt",api_key_name="team"} 174
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="completion",api_key_name="team"} 52
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="total",api_key_name="team"} 226
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="cached",api_key_name="team"} 40
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="prompt",api_key_name="narrow"} 10
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="completion",api_key_name="narrow"} 5
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="total",api_key_name="narrow"} 15
llm_proxy_tokens_total{model="gpt-4o",provider="main",token_type="cached",api_key_name="narrow"} 0
llm_proxy_tokens_total{model="fragile",provider="spare",token_type="prompt",api_key_name="team"} 7
llm_proxy_tokens_total{model="fragile",provider="spare",token_type="completion",api_key_name="team"} 3
llm_proxy_tokens_total{model="fragile",provider="spare",token_type="total",api_key_name="team"} 10
llm_proxy_tokens_total{model="fragile",provider="spare",token_type="cached",api_key_name="team"} 0
llm_proxy_estimated_requests_total{model="gpt-4o",provider="main"} 2
llm_proxy_cost_usd_total{model="gpt-4o",provider="main",api_key_name="team"} 0.000955
llm_proxy_cost_usd_total{model="gpt-4o",provider="main",api_key_name="narrow"} 0.000075
llm_proxy_cost_usd_total{model="fragile",provider="spare",api_key_name="team"} 0.000019
llm_proxy_attempts_total{provider="main",outcome="success"} 4
llm_proxy_attempts_total{provider="main",outcome="server_error"} 2
llm_proxy_attempts_total{provider="main",outcome="client_fault"} 1
llm_proxy_attempts_total{provider="main",outcome="truncated"} 1
llm_proxy_attempts_total{provider="main",outcome="cancelled"} 2
llm_proxy_attempts_total{provider="spare",outcome="success"} 1
llm_proxy_provider_latency_seconds_count{provider="main"} 9
llm_proxy_provider_latency_seconds_count{provider="spare"} 1
llm_proxy_retries_total{model="gpt-4o",reason="server_error"} 1
llm_proxy_fallbacks_total{model="fragile",reason="server_error"} 1
llm_proxy_rate_limited_total{api_key_name="narrow",limit="requests"} 1
llm_proxy_shed_total 0
llm_proxy_client_disconnects_total{provider="main"} 2
llm_proxy_truncated_streams_total{provider="main"} 1
llm_proxy_provider_health{provider="main"} 1
llm_proxy_provider_health{provider="spare"} 1
llm_proxy_provider_circuit_state{provider="main",state="closed"} 1
llm_proxy_provider_circuit_state{provider="main",state="open"} 0
llm_proxy_provider_circuit_state{provider="main",state="half_open"} 0
llm_proxy_provider_circuit_state{provider="spare",state="closed"} 1
llm_proxy_provider_circuit_state{provider="spare",state="open"} 0
llm_proxy_provider_circuit_state{provider="spare",state="half_open"} 0
llm_proxy_provider_ejections_total{provider="main",reason="circuit_breaker"} 0
llm_proxy_provider_ejections_total{provider="main",reason="credential"} 0
llm_proxy_provider_ejections_total{provider="main",reason="rate_limit"} 0
llm_proxy_provider_ejections_total{provider="spare",reason="circuit_breaker"} 0
llm_proxy_provider_ejections_total{provider="spare",reason="credential"} 0
llm_proxy_provider_ejections_total{provider="spare",reason="rate_limit"} 0
llm_proxy_queue_depth 0
llm_proxy_config_version 1
llm_proxy_config_reloads_total{result="success"} 1
llm_proxy_config_reloads_total{result="failure"} 0
llm_proxy_log_lines_dropped_total 0
llm_proxy_traces_dropped_total 0
llm_proxy_usage_pending_requests 0
"#;

/// A `usage` member.
fn usage(prompt: u64, completion: u64, cached: u64) -> String {
    let details = format!(r#""prompt_tokens_details":{{"cached_tokens":{cached}}}"#);
    format!(r#""usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},{details}}}"#)
}

fn reporting(prompt: u64, completion: u64, cached: u64) -> Script {
    Script::json(200, format!(r#"{{"id":"c-1","choices":[],{}}}"#, usage(prompt, completion, cached)))
}

fn failing() -> Script {
    Script::json(500, "{}")
}

/// A stream of which forty bytes of text have come.
fn begun() -> Script {
    Script::event_stream().event(&text(&"word ".repeat(8)))
}

/// A call that is answered to its end, with what the upstreams do and the status that the caller gets.
struct Row {
    name: &'static str,
    key: &'static str,
    body: &'static str,
    main: Vec<Script>,
    spare: Vec<Script>,
    status: u16,
}

impl Row {
    fn new(
        name: &'static str,
        key: &'static str,
        body: &'static str,
        main: impl Into<Vec<Script>>,
        status: u16,
    ) -> Self {
        Self { name, key, body, main: main.into(), spare: Vec::new(), status }
    }
}

fn rows() -> Vec<Row> {
    let report = format!(r#"{{"id":"c-1","choices":[],{}}}"#, usage(50, 10, 0));
    let stream = Script::events([&*role(), &text("Hello there"), &finish(), &report, "[DONE]"]);
    let fallback = Row::new("fallback", CALLER_KEY, r#"{"model":"fragile"}"#, [failing()], 200);
    vec![
        Row::new("success", CALLER_KEY, CALL, [reporting(100, 20, 40)], 200),
        Row::new("streamed", CALLER_KEY, STREAMED_CALL, [stream], 200),
        Row::new("unknown key", "sk-nobodys-51d7", CALL, [], 401),
        Row::new("unknown model", CALLER_KEY, r#"{"model":"gpt-0"}"#, [], 404),
        Row::new("within the limit", NARROW, CALL, [reporting(10, 5, 0)], 200),
        Row::new("beyond the limit", NARROW, CALL, [], 429),
        Row::new("retry", CALLER_KEY, CALL, [failing(), reporting(8, 2, 0)], 200),
        Row { spare: vec![reporting(7, 3, 0)], ..fallback },
        Row::new("fault", CALLER_KEY, CALL, [Script::json(400, r#"{"error":{"message":"No."}}"#)], 400),
        Row::new("truncated", CALLER_KEY, STREAMED_CALL, [begun().close()], 200),
    ]
}

struct Scene {
    site: Site,
    other: FakeUpstream,
    node: Node,
}

impl Scene {
    async fn new() -> Self {
        let other = FakeUpstream::start([]).await.unwrap();
        let site = Site::of(CONFIG).await.with("OTHER", &other.api_base()).with("PROVIDER_KEY", PROVIDER_KEY);
        let node = site.start();
        Self { site, other, node }
    }

    async fn make_calls(&self) {
        for row in rows() {
            row.main.into_iter().for_each(|script| self.site.upstream.push(script));
            row.spare.into_iter().for_each(|script| self.other.push(script));
            let answer = self.node.call_with(row.key, row.body).await;
            assert_eq!(answer.status, row.status, "{}: {}", row.name, answer.text());
        }
        for (method, path, status) in [("GET", "/v1/models", 200), ("POST", "/v1/nothing", 404)] {
            assert_eq!(self.node.send(authorized(method, path, "")).await.status, status, "{method} {path}");
        }
        self.leave_within_a_stream().await;
        self.leave_before_the_head().await;
        // Nobody counts those who ask whether it is there.
        assert_eq!(self.node.readiness().await.0, 200);
    }

    async fn leave_within_a_stream(&self) {
        self.site.upstream.push(begun().stall());
        let mut events = Events::open(self.node.process.address()).await;
        assert!(events.next().await.is_some_and(|event| event.contains("word")));
    }

    async fn leave_before_the_head(&self) {
        let number = self.site.upstream.requests().len();
        self.site.upstream.push(Script::new().stall());
        let mut wire = Wire::open(self.node.process.address()).await;
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {CALLER_KEY}\r\n");
        wire.write(format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{CALL}", CALL.len()))
            .await;
        self.site.upstream.request(number).await;
    }

    /// Waits until that many calls are settled, and gives the usage that is told then. Usage is counted last, so the log and the
    /// metrics know of them, too.
    async fn settled(&self, calls: u64) -> Value {
        let report = async || {
            let report = self.node.admin().get("/admin/v1/usage").await;
            (report["totals"]["requests"].as_u64()? >= calls).then_some(report)
        };
        until(&format!("{calls} calls to settle"), report).await.0
    }
}

/// Panics, with what differs alone, unless both are the same.
fn assert_same(found: &Samples, expected: &Samples) {
    let missing: Vec<_> = expected.iter().filter(|(series, value)| found.get(*series) != Some(*value)).collect();
    let surplus: Vec<_> = found.iter().filter(|(series, value)| expected.get(*series) != Some(*value)).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "expected {missing:#?}, found {surplus:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_counter_is_exact_and_all_who_count_agree() {
    let scene = Scene::new().await;
    files_are_watched(scene.node.process.address()).await;
    scene.make_calls().await;
    let report = scene.settled(CALLS).await;
    let exposed = scrape(scene.node.process.address()).await;
    assert_same(&counted(&exposed), &samples(EXPECTED));

    assert_eq!(requests(&exposed).to_string(), CALLS.to_string());
    let rows = report["data"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["requests"].as_u64().unwrap()).sum::<u64>(), CALLS, "{report}");
    let totals = serde_json::json!({
        "requests": CALLS, "errors": 7, "estimated_requests": 2, "prompt_tokens": 191, "completion_tokens": 60,
        "cached_tokens": 40, "total_tokens": 251, "cost_usd": 0.001_049,
    });
    assert_eq!(report["totals"], totals);
    let log = scene.node.process.stop();
    let lines: Vec<_> = log.iter().filter(|line| line.contains(r#""target":"access""#)).collect();
    assert_eq!(lines.len() as u64, CALLS, "{lines:#?}");
}
