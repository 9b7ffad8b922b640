//! A gateway between a caller and scripted upstreams: the scene of nearly every suite.
//!
//! Addresses and keys reach the configuration as variables, so that each suite's YAML reads as a user would write it.

use bytes::Bytes;
use gateway_testing::{Answer, Client, FakeUpstream, GatewayProcess, ReceivedRequest, Script, client};
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::Full;

/// The key that callers present.
pub const CALLER_KEY: &str = "sk-caller-3b1f09d77ac24e51";

/// The key that the gateway presents to its upstreams.
pub const PROVIDER_KEY: &str = "sk-provider-c80d4e6a19f75b32";

/// One provider, `main`, which calls `gpt-4o` by the name `gpt-4o-2024`, and one key that may use everything.
pub const PLAIN: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: "${PROVIDER_KEY}", model_mapping: { gpt-4o: gpt-4o-2024 } }
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
"#;

/// One worker, whose connections to upstreams are all there are: each has its own.
pub const ONE_WORKER: &str = "server: { workers: 1 }\n";

/// One attempt a call, whatever became of those before: no retries, and no breaker that opens.
pub const ONE_ATTEMPT: &str =
    "retry: { max_retries: 0 }\ncircuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }\n";

/// The smallest call.
pub const CALL: &str = r#"{"model":"gpt-4o"}"#;

/// Where most calls go.
pub const CHAT: &str = "/v1/chat/completions";

/// A running gateway and its upstreams.
#[derive(Debug)]
pub struct Stage {
    /// `${UPSTREAM}`.
    pub upstream: FakeUpstream,
    /// `${OTHER}`.
    pub other: FakeUpstream,
    /// The gateway.
    pub gateway: GatewayProcess,
}

impl Stage {
    /// A gateway on [`PLAIN`] and further top-level sections.
    pub async fn with(sections: &str) -> Self {
        Self::of(&format!("{PLAIN}{sections}")).await
    }

    /// A gateway on a configuration, which may hold `${UPSTREAM}`, `${OTHER}`, `${CALLER_KEY}` and `${PROVIDER_KEY}`.
    pub async fn of(config: &str) -> Self {
        Self::logging(config, "info").await
    }

    /// The same, with `RUST_LOG`.
    pub async fn logging(config: &str, level: &str) -> Self {
        let upstream = FakeUpstream::start([]).await.expect("a free port");
        let other = FakeUpstream::start([]).await.expect("a free port");
        let environment = [
            ("UPSTREAM", &*upstream.api_base()),
            ("OTHER", &*other.api_base()),
            ("CALLER_KEY", CALLER_KEY),
            ("PROVIDER_KEY", PROVIDER_KEY),
            ("RUST_LOG", level),
        ];
        let gateway = GatewayProcess::start_with(config, &environment);
        Self { upstream, other, gateway }
    }

    /// Sends a request over a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        Client::connect(self.gateway.address()).await.send(request).await
    }

    /// Posts a body with the caller's key.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(authorized("POST", path, body)).await
    }

    /// Sends a call that the first upstream answers by a script; gives what it received, too. Panics if that is nothing.
    pub async fn exchange(&self, request: Request<Full<Bytes>>, script: Script) -> (Answer, ReceivedRequest) {
        let number = self.upstream.requests().len();
        self.upstream.push(script);
        let answer = self.send(request).await;
        let received = self.upstream.requests().into_iter().nth(number);
        let received = received.unwrap_or_else(|| panic!("nothing was sent: {} {}", answer.status, answer.text()));
        (answer, received)
    }

    /// Waits for the access-log line of a request. Lines before it are passed over.
    pub fn access_line(&self, request_id: &str) -> serde_json::Value {
        let line = self.gateway.log_line(|line| line.contains(r#""target":"access""#) && line.contains(request_id));
        serde_json::from_str(&line).expect("a log line is JSON")
    }

    /// Asks the gateway to stop and gives what is left of its log, which then has an end to wait for.
    pub fn stop(&self) -> String {
        self.gateway.terminate().expect("a process that runs");
        self.gateway.log_until(|line| line.contains(r#""message":"stopped""#)).join("\n")
    }

    /// Panics if any request reached an upstream.
    pub fn assert_nothing_was_sent(&self, row: &str) {
        assert!(self.upstream.requests().is_empty(), "{row}: {:?}", self.upstream.requests());
        assert!(self.other.requests().is_empty(), "{row}: {:?}", self.other.requests());
    }

    /// Panics if the gateway does not serve any more.
    pub async fn assert_alive(&self, row: &str) {
        let answer = client::get(self.gateway.address(), "/health").await;
        assert_eq!(answer.text(), r#"{"status":"ok"}"#, "{row}");
    }
}

/// A request with the caller's key.
pub fn authorized(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = client::request(method, path, body);
    with_header(request, header::AUTHORIZATION.as_str(), &format!("Bearer {CALLER_KEY}"))
}

/// A header line with the caller's key.
pub fn key_line() -> String {
    format!("authorization: Bearer {CALLER_KEY}")
}

/// A request with one more header.
pub fn with_header(mut request: Request<Full<Bytes>>, name: &str, value: &str) -> Request<Full<Bytes>> {
    let name = HeaderName::try_from(name).expect("a header name");
    request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    request
}

/// A script for a whole answer with headers of its own, one a line.
pub fn answer_with(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Script {
    let body = body.as_ref();
    let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let lines = lines.concat();
    let head = format!("HTTP/1.1 {status} Scripted\r\n{lines}content-length: {}\r\n\r\n", body.len());
    Script::new().write([head.as_bytes(), body].concat())
}
