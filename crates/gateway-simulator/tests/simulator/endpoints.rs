//! Plain answers and errors.

use std::collections::BTreeMap;

use gateway_simulator::{Simulator, SimulatorConfig, SimulatorError};
use serde_json::{Value, json};

use crate::client::{exchange, post};

fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]})
}

#[tokio::test]
async fn a_chat_completion_echoes_the_last_message_of_the_user() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let text = "Grüße, 世界! 👩‍👩‍👧‍👦 \"quoted\" \\ \n\ttab \u{0} \u{2028} end";
    let answer = post(&simulator, "/v1/chat/completions", &chat("sim", text)).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.head.contains("content-type: application/json\r\n"), "{}", answer.head);
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "sim");
    assert_eq!(body["choices"][0]["message"]["content"], text);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let usage = &body["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap())
    );
    assert_eq!(post(&simulator, "/v1/chat/completions", &chat("sim", text)).await.body, answer.body, "deterministic");
}

#[tokio::test]
async fn content_parts_and_limits_are_understood() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let request = json!({"model": "sim?as=gpt-4o", "max_tokens": 3, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "one two "}, {"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "three four"},
    ]}]});
    let body = post(&simulator, "/v1/chat/completions", &request).await.json();
    assert_eq!(body["choices"][0]["message"]["content"], "one two three ");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"], json!({"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}));
    assert_eq!(body["model"], "gpt-4o");
}

#[tokio::test]
async fn tools_are_called_when_asked_for() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {}}}]);
    let named = json!({"type": "function", "function": {"name": "other"}});
    for (model, choice, expected) in [
        ("sim", json!("auto"), None),
        ("sim", Value::Null, None),
        ("sim-tool", Value::Null, Some("weather")),
        ("sim-tool", json!("none"), None),
        ("sim", json!("required"), Some("weather")),
        ("sim", named, Some("other")),
    ] {
        let mut request = chat(model, "Wie ist \"das Wetter\"?");
        request["tools"] = tools.clone();
        request["tool_choice"] = choice.clone();
        let body = post(&simulator, "/v1/chat/completions", &request).await.json();
        let message = &body["choices"][0]["message"];
        let call = &message["tool_calls"][0];
        assert_eq!(call["function"]["name"].as_str(), expected, "{model} {choice}");
        assert_eq!(message["content"].is_null(), expected.is_some());
        if expected.is_some() {
            assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
            let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
            assert_eq!(arguments["input"], "Wie ist \"das Wetter\"?");
        }
    }
}

#[tokio::test]
async fn text_completions_and_embeddings_are_served() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let request = json!({"model": "sim?words=2", "prompt": ["one", "two"]});
    let body = post(&simulator, "/v1/completions", &request).await.json();
    assert_eq!(body["object"], "text_completion");
    assert_eq!(body["choices"][0]["text"], "alpha bravo ");

    let embed = |input: Value, format: &str| json!({"model": "sim", "input": input, "dimensions": 4, "encoding_format": format});
    let floats = post(&simulator, "/v1/embeddings", &embed(json!(["a b", "c"]), "float")).await.json();
    assert_eq!(floats["data"].as_array().unwrap().len(), 2);
    assert_eq!(floats["data"][1]["index"], 1);
    assert_eq!(floats["data"][0]["embedding"].as_array().unwrap().len(), 4);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let encoded = post(&simulator, "/v1/embeddings", &embed(json!("a b"), "base64")).await.json();
    assert_eq!(encoded["data"][0]["embedding"].as_str().unwrap().len(), 24, "16 bytes in base64");
    for input in [json!([1, 2]), json!([[1, 2], [3]])] {
        assert_eq!(post(&simulator, "/v1/embeddings", &embed(input, "float")).await.status(), 200);
    }
    let default = post(&simulator, "/v1/embeddings", &json!({"model": "sim", "input": "a"})).await.json();
    assert_eq!(default["data"][0]["embedding"].as_array().unwrap().len(), 1536);
}

#[tokio::test]
async fn models_are_listed_and_described() {
    let models = BTreeMap::from([("gpt-4o".to_owned(), "latency=1ms".to_owned())]);
    let simulator = Simulator::start(SimulatorConfig { models, ..SimulatorConfig::default() }).await.unwrap();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let list = exchange(&simulator, &get("/v1/models")).await.json();
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["gpt-4o", "sim", "sim-slow", "sim-tool"]);
    assert_eq!(exchange(&simulator, &get("/v1/models/any/name")).await.json()["id"], "any/name");
}

#[tokio::test]
async fn errors_have_the_shape_of_openai() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let no_model = json!({"messages": [{"role": "user", "content": "x"}]});
    let no_messages = json!({"model": "sim"});
    let bad_setting = chat("sim?fial=1", "x");
    let bad_format = json!({"model": "sim", "input": "x", "encoding_format": "hex"});
    let too_many = json!({"model": "sim", "input": "x", "dimensions": 100_000});
    for (path, request, status, param) in [
        ("/v1/chat/completions", &no_model, 400, json!("model")),
        ("/v1/chat/completions", &no_messages, 400, json!("messages")),
        ("/v1/chat/completions", &json!([1]), 400, Value::Null),
        ("/v1/chat/completions", &bad_setting, 400, json!("model")),
        ("/v1/embeddings", &no_messages, 400, json!("input")),
        ("/v1/embeddings", &bad_format, 400, json!("encoding_format")),
        ("/v1/embeddings", &too_many, 400, json!("dimensions")),
        ("/v1/responses", &no_messages, 404, Value::Null),
        ("/v1/models", &no_messages, 405, Value::Null),
    ] {
        let answer = post(&simulator, path, request).await;
        assert_eq!(answer.status(), status, "{path} {request}");
        let error = &answer.json()["error"];
        assert_eq!(error["param"], param, "{path} {request}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].is_string() && error.as_object().unwrap().contains_key("code"));
    }
    let torn = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n{";
    assert_eq!(exchange(&simulator, torn).await.status(), 400);
}

#[tokio::test]
async fn a_key_is_wanted_only_if_one_is_configured() {
    let config = SimulatorConfig { key: Some("sk-sim".to_owned()), ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).await.unwrap();
    for (header, status) in
        [("", 401), ("Authorization: Bearer wrong\r\n", 401), ("Authorization: Bearer sk-sim\r\n", 200)]
    {
        let request = format!("GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        assert_eq!(exchange(&simulator, &request).await.status(), status, "{header}");
    }
}

#[tokio::test]
async fn configured_behaviours_are_checked_and_applied() {
    let configured = |settings: &str| SimulatorConfig {
        models: BTreeMap::from([("gpt-4o".to_owned(), settings.to_owned())]),
        ..SimulatorConfig::default()
    };
    let error = Simulator::start(configured("latency=soon")).await.unwrap_err();
    assert!(matches!(&error, SimulatorError::Behaviour { model, .. } if model == "gpt-4o"), "{error}");

    let simulator = Simulator::start(configured("status=503&retry_after=1500ms")).await.unwrap();
    let answer = post(&simulator, "/v1/chat/completions", &chat("gpt-4o", "x")).await;
    assert_eq!(answer.status(), 503);
    assert!(
        answer.head.contains("retry-after: 2\r\n") && answer.head.contains("retry-after-ms: 1500\r\n"),
        "{}",
        answer.head
    );
    assert_eq!(answer.json()["error"]["type"], "server_error");
    let answer = post(&simulator, "/v1/chat/completions", &chat("gpt-4o?fail=0", "x")).await;
    assert_eq!(answer.status(), 200, "the name has the last word");
}
