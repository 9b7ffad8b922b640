//! A gateway, an upstream for it, and calls from a request in memory to the end of the answer.

use bytes::Bytes;
use gateway_config::Config;
use gateway_core::{Gateway, GatewayService};
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;

use super::audience::Audience;
use super::bodies;
use super::upstream::{STREAMS, Upstream};

/// `UPSTREAM` stands for the address. One provider always fails, so nothing may keep calls away from it.
const CONFIG: &str = r#"
providers:
  - name: main
    api_base: "http://UPSTREAM/plain"
    model_mapping:
      gpt-4o-mini: { mapped_model: gpt-4o-mini-2024-07-18, input_cost_per_million_tokens: 0.15, output_cost_per_million_tokens: 0.6 }
  - { name: broken, api_base: "http://UPSTREAM/broken", model_mapping: { gpt-4o: gpt-4o-2024-11-20 } }
STREAMS
models:
  gpt-4o: { max_retries: 1, fallback_models: [gpt-4o-mini] }
retry: { base_delay: 1ms, max_delay: 1ms, budget: { ratio: 1, min_per_second: 1000 } }
circuit_breaker: { consecutive_failures: 1000000, min_requests: 1000000 }
master_keys:
  - { name: Production Key, key: sk-production-0123456789abcdef0123456789abcdef, rate_limit: { requests_per_second: 1000000, max_concurrent: 100 } }
  - { name: Narrow Key, key: sk-narrow-0123456789abcdef, allowed_models: [gpt-4o] }
  - { name: Spent Key, key: sk-spent-0123456789abcdef, rate_limit: { limit: 1, period_seconds: 86400 } }
"#;

/// A gateway at work.
pub struct Scene {
    service: GatewayService,
    upstream: Upstream,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Where.
    pub path: &'static str,
    /// Whose key: `sk-production-…` is good for everything, `sk-narrow-…` for `gpt-4o` alone, `sk-spent-…` for one call.
    pub key: &'static str,
    /// `gpt-4o-mini` for a plain answer, `gpt-4o` for that behind two failures, or a path of [`STREAMS`] without its slash.
    pub model: &'static str,
    /// How the body differs from that of a plain call.
    pub form: Form,
}

/// What a request's body is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A plain call's.
    Plain,
    /// Without its last byte.
    Malformed,
    /// One that asks for a stream.
    Streamed,
    /// The same, and the upstream writes a frame when the caller has the one before.
    OneByOne,
}

impl Ask {
    /// An ordinary call.
    pub const PLAIN: Self = Self {
        path: "/v1/chat/completions",
        key: "sk-production-0123456789abcdef0123456789abcdef",
        model: "gpt-4o-mini",
        form: Form::Plain,
    };
}

/// A request that can be sent over and over.
pub struct Call {
    head: Parts,
    body: Bytes,
    is_one_by_one: bool,
}

impl Call {
    /// A request with a body of 1 KiB.
    pub fn new(Ask { path, key, model, form }: Ask) -> Self {
        let is_stream = matches!(form, Form::Streamed | Form::OneByOne);
        let mut body = bodies::chat_request(model, is_stream, 1024);
        if form == Form::Malformed {
            body.truncate(body.len() - 1);
        }
        let head = Request::post(path)
            .header("host", "gateway.example")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .header("accept", "application/json")
            .header("user-agent", "OpenAI/Python 1.55.0");
        let (head, ()) = head.body(()).expect("a request").into_parts();
        Self { head, body, is_one_by_one: form == Form::OneByOne }
    }
}

impl Scene {
    /// A gateway that tells its `audience` of calls, and an upstream, both on the current runtime.
    pub async fn start(audience: &Audience) -> Self {
        let upstream = Upstream::start().await.expect("a free port");
        let gateway = audience.equip(Gateway::builder()).build(&config(&upstream)).expect("a gateway");
        Self { service: gateway.service(), upstream }
    }

    /// Makes a call, reads the whole answer, and returns its status.
    pub async fn make(&self, call: &Call) -> StatusCode {
        let request = Request::from_parts(call.head.clone(), Full::new(call.body.clone()));
        let answer = self.service.call(request).await.expect("an answer");
        let status = answer.status();
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame.expect("it ends well");
            if call.is_one_by_one {
                self.upstream.leave.add_permits(1);
            }
        }
        status
    }
}

fn config(upstream: &Upstream) -> Config {
    let provider = |(path, ..): (&str, usize, bool)| {
        let name = path.trim_start_matches('/');
        format!(
            "  - {{ name: {name}, api_base: 'http://UPSTREAM{path}', model_mapping: {{ {name}: gpt-4o-mini-2024-07-18 }} }}\n"
        )
    };
    let text = CONFIG.replace("STREAMS", STREAMS.map(provider).concat().trim_end());
    Config::from_yaml(&text.replace("UPSTREAM", &upstream.address.to_string())).expect("a configuration")
}
