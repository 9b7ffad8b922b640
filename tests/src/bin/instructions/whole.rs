//! Whole calls: the same kinds, from a request in memory through the gateway to an upstream in another process.

use bytes::Bytes;
use gateway_config::Config;
use gateway_core::{Gateway, GatewayService};
use gateway_testing::{ReceivedRequest, Script as Answer};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use tokio::runtime::Builder;

use crate::audience::Audience;
use crate::measured::Measured;
use crate::script::Script;

/// `UPSTREAM` stands for the address. One provider always fails, so nothing may keep calls away from it.
const CONFIG: &str = r#"
providers:
  - name: main
    api_base: "http://UPSTREAM/v1"
    model_mapping:
      gpt-4o-mini: { mapped_model: gpt-4o-mini-2024-07-18, input_cost_per_million_tokens: 0.15, output_cost_per_million_tokens: 0.6 }
  - { name: broken, api_base: "http://UPSTREAM/broken", model_mapping: { gpt-4o: gpt-4o-2024-11-20 } }
models:
  gpt-4o: { max_retries: 1, fallback_models: [gpt-4o-mini] }
retry: { base_delay: 1ms, max_delay: 1ms, budget: { ratio: 1, min_per_second: 1000 } }
circuit_breaker: { consecutive_failures: 1000000, min_requests: 1000000 }
master_keys: [{ name: Production Key, key: sk-production-0123456789 }]
"#;

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"All is well, and nothing else is to be said of it."},"finish_reason":"stop"}],"usage":{"prompt_tokens":812,"completion_tokens":240,"total_tokens":1052}}"#;

const CONTENT: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":" well"},"finish_reason":null}]}

"#;

const END: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[],"usage":{"prompt_tokens":812,"completion_tokens":240,"total_tokens":1052}}

data: [DONE]

"#;

/// How many events of content a stream has.
const EVENTS: usize = 20;

/// What upstreams answer, and whoever takes spans. Each in one piece, so that it is read in one.
pub(crate) fn answer(request: &ReceivedRequest) -> Answer {
    let is_stream = request.body.windows(b"\"stream\":true".len()).any(|part| part == b"\"stream\":true");
    match request.target() {
        "/v1/traces" => Answer::new().answer(200, "application/x-protobuf", ""),
        "/v1/chat/completions" if is_stream => {
            Answer::new().answer(200, "text/event-stream", CONTENT.repeat(EVENTS) + END)
        }
        "/v1/chat/completions" => Answer::json(200, ANSWER),
        _ => Answer::json(500, r#"{"error":{"message":"It is broken.","type":"server_error","code":null}}"#),
    }
}

/// Makes calls one after the other, in this thread.
pub(crate) fn make(measured: &Measured, audience: &Audience) {
    let config = Config::from_yaml(&CONFIG.replace("UPSTREAM", &measured.upstream)).expect("a configuration");
    let gateway = audience.equip(Gateway::builder()).build(&config).expect("a gateway");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let service = gateway.service();
        for _ in 0..measured.calls {
            call(&service, measured.script).await;
        }
    });
}

async fn call(service: &GatewayService, script: Script) {
    let (model, stream) = match script {
        Script::Plain | Script::Refused => ("gpt-4o-mini", ""),
        Script::Streamed => ("gpt-4o-mini", r#""stream":true,"#),
        Script::FellBack => ("gpt-4o", ""),
    };
    let (key, status) = if script == Script::Refused { ("sk-nobodys", 401) } else { ("sk-production-0123456789", 200) };
    let body = format!(r#"{{"model":"{model}",{stream}"messages":[{{"role":"user","content":"Is all well?"}}]}}"#);
    let request = Request::post("/v1/chat/completions").header("host", "gateway");
    let request = request.header("authorization", format!("Bearer {key}")).header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    let answer = service.call(request).await.expect("an answer");
    assert_eq!(answer.status(), status, "{script}");
    answer.into_body().collect().await.expect("it ends well");
}
