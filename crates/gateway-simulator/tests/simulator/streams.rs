//! Streams: their frames, and the time between them.

use std::time::Duration;

use gateway_simulator::{Simulator, SimulatorConfig};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Answer, post};

async fn stream(request: &Value) -> Answer {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let answer = post(&simulator, "/v1/chat/completions", request).await;
    simulator.stop().await;
    assert!(answer.is_whole, "{answer:?}");
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    answer
}

fn request(model: &str, text: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": text}]})
}

fn parse(events: &[&str]) -> Vec<Value> {
    let (done, frames) = events.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

#[tokio::test]
async fn a_stream_has_a_role_the_text_and_an_end() {
    let text = "one  two\n世界世界世界世界世界世界世界 👍🏽 \"end\"";
    let answer = stream(&request("sim", text)).await;
    let frames = parse(&answer.events());
    let choice = |frame: &Value| frame["choices"][0].clone();
    assert_eq!(choice(&frames[0])["delta"]["role"], "assistant");
    let last = frames.len() - 1;
    let content: String =
        frames[1..last].iter().map(|frame| choice(frame)["delta"]["content"].as_str().unwrap().to_owned()).collect();
    assert_eq!(content, text);
    assert!(frames.len() > 5);
    assert_eq!(choice(&frames[last])["finish_reason"], "stop");
    assert!(frames.iter().all(|frame| frame["object"] == "chat.completion.chunk" && frame["model"] == "sim"));
    assert!(frames.iter().all(|frame| frame.get("usage").is_none()));
    assert!(frames[..last].iter().all(|frame| choice(frame)["finish_reason"].is_null()));
}

#[tokio::test]
async fn token_counts_come_last_when_asked_for() {
    let mut request = request("sim?frames=64&as=shown", "x");
    request["stream_options"] = json!({"include_usage": true});
    let answer = stream(&request).await;
    let frames = parse(&answer.events());
    assert_eq!(frames.len(), 1 + 64 + 1 + 1);
    let (usage, others) = frames.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], json!({"prompt_tokens": 1, "completion_tokens": 64, "total_tokens": 65}));
    assert!(others.iter().all(|frame| frame["usage"].is_null() && frame.get("usage").is_some()));
    assert!(frames.iter().all(|frame| frame["model"] == "shown"));
}

#[tokio::test]
async fn a_tools_arguments_come_in_fragments() {
    let mut request = request("sim-tool", "a long question about \"the weather\" in 北京");
    request["tools"] = json!([{"type": "function", "function": {"name": "weather"}}]);
    let answer = stream(&request).await;
    let frames = parse(&answer.events());
    let call = |frame: &Value| frame["choices"][0]["delta"]["tool_calls"][0].clone();
    assert_eq!(call(&frames[0])["function"], json!({"name": "weather", "arguments": ""}));
    assert!(call(&frames[0])["id"].as_str().unwrap().starts_with("call-"));
    let (finish, fragments) = frames[1..].split_last().unwrap();
    assert!(fragments.len() > 2);
    let arguments: String =
        fragments.iter().map(|frame| call(frame)["function"]["arguments"].as_str().unwrap().to_owned()).collect();
    let arguments: Value = serde_json::from_str(&arguments).unwrap();
    assert_eq!(arguments["input"], "a long question about \"the weather\" in 北京");
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn text_completions_stream_too() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let request = json!({"model": "sim", "stream": true, "prompt": "one two three", "max_tokens": 2});
    let answer = post(&simulator, "/v1/completions", &request).await;
    let frames = parse(&answer.events());
    let text: String = frames.iter().map(|frame| frame["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(text, "one two ");
    assert_eq!(frames.last().unwrap()["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn an_empty_question_gets_an_empty_answer() {
    let answer = stream(&request("sim", "")).await;
    assert_eq!(parse(&answer.events()).len(), 2);
}

#[tokio::test]
async fn latency_and_cadence_are_kept() {
    let began = Instant::now();
    stream(&request("sim?latency=50ms&frame=10ms&frames=11", "x")).await;
    assert!(began.elapsed() >= Duration::from_millis(50 + 10 * 10));
}
