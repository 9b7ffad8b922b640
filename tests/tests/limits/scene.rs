//! A gateway whose keys have limits.

use std::time::Duration;

use bytes::Bytes;
use gateway_testing::{Answer, Client, Script, client};
use gateway_tests::clock::now;
use gateway_tests::stage::{CHAT, ONE_ATTEMPT, PLAIN, Stage, with_header};
use http::Request;
use http_body_util::Full;
use tokio::task::JoinHandle;

/// Ten tokens a second: what a test uses is far more than what comes back while it runs.
pub(crate) const TOKENS: &str = "rate_limit: { tokens_per_minute: 600 }";

/// What is left of [`TOKENS`] when nothing is spent.
pub(crate) const ALL_TOKENS: u64 = 600;

/// A call that needs no tokens, so that looking at what is left changes nothing.
const LOOK: &str = r#"{"model":"gpt-4o","max_tokens":0}"#;

/// A gateway on [`PLAIN`] with these keys besides, each of which has a name and further fields. Calls make one attempt,
/// and an upstream without a script gives an answer that took nothing.
pub(crate) async fn stage(keys: &[(&str, &str)]) -> Stage {
    stage_of(&[PLAIN, &listed(keys), ONE_ATTEMPT].concat()).await
}

/// A gateway on this configuration, whose upstreams give answers that took nothing where they have no script.
pub(crate) async fn stage_of(config: &str) -> Stage {
    let stage = Stage::of(config).await;
    stage.upstream.otherwise(|_| ok());
    stage.other.otherwise(|_| ok());
    stage
}

/// Keys as they stand in `master_keys`.
pub(crate) fn listed(keys: &[(&str, &str)]) -> String {
    let lines = keys.iter().map(|(name, fields)| format!("  - {{ name: {name}, key: {}, {fields} }}\n", key(name)));
    lines.collect()
}

/// What the caller of this name presents.
pub(crate) fn key(name: &str) -> String {
    format!("sk-{name}-6f0c2d9e48b1")
}

/// An answer that took nothing.
pub(crate) fn ok() -> Script {
    reporting(0, 0)
}

/// A request of the caller of this name.
pub(crate) fn request(name: &str, method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = client::request(method, path, body);
    with_header(request, "authorization", &format!("Bearer {}", key(name)))
}

/// Makes a call in the name of this caller.
pub(crate) async fn call(stage: &Stage, name: &str, body: impl Into<Bytes>) -> Answer {
    stage.send(request(name, "POST", CHAT, body)).await
}

/// The same, and waits until it is settled.
pub(crate) async fn settled(stage: &Stage, name: &str, body: impl Into<Bytes>) -> Answer {
    let answer = call(stage, name, body).await;
    stage.access_line(answer.header("x-request-id"));
    answer
}

/// A call that goes on while the test does something else.
pub(crate) fn spawn(stage: &Stage, name: &str, body: &'static str) -> JoinHandle<Answer> {
    let (gateway, request) = (stage.gateway.address(), request(name, "POST", CHAT, body));
    tokio::spawn(async move { Client::connect(gateway).await.send(request).await })
}

/// The smallest call that may take so many tokens: it has no prompt.
pub(crate) fn asking(tokens: u64) -> String {
    format!(r#"{{"model":"gpt-4o","max_tokens":{tokens}}}"#)
}

/// A plain answer that reports what it took.
pub(crate) fn reporting(prompt: u64, completion: u64) -> Script {
    told(Script::new(), prompt, completion)
}

/// The same at the end of a script.
pub(crate) fn told(script: Script, prompt: u64, completion: u64) -> Script {
    let body = format!(r#"{{"id":"c-1","choices":[],{}}}"#, usage(prompt, completion));
    script.answer(200, "application/json", body)
}

/// A `usage` member.
pub(crate) fn usage(prompt: u64, completion: u64) -> String {
    let total = prompt + completion;
    format!(r#""usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#)
}

/// A header that is a number. Panics if it is none.
pub(crate) fn number(answer: &Answer, name: &str) -> u64 {
    let value = answer.header(name);
    value.parse().unwrap_or_else(|_| panic!("{name}: {value:?}: {} {}", answer.status, answer.text()))
}

/// A header that is a duration as OpenAI writes it. Panics if it is none.
pub(crate) fn duration(answer: &Answer, name: &str) -> Duration {
    let (mut total, mut digits) = (Duration::ZERO, String::new());
    let value = answer.header(name);
    let mut letters = value.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() || letter == '.' {
            digits.push(letter);
            continue;
        }
        let number: f64 = digits.parse().unwrap_or_else(|_| panic!("{name}: {value:?}"));
        let unit = match letter {
            'h' => 3600.0,
            'm' if letters.next_if_eq(&'s').is_some() => 0.001,
            'm' => 60.0,
            's' => 1.0,
            _ => panic!("{name}: {value:?}"),
        };
        total += Duration::from_secs_f64(number * unit);
        digits.clear();
    }
    assert!(digits.is_empty() && !value.is_empty(), "{name}: {value:?}");
    total
}

/// Panics unless as much is spent of a key's [`TOKENS`], apart from what has come back since `act` began. What it gives is
/// what `act` gives.
pub(crate) async fn spends<T>(stage: &Stage, name: &str, expected: u64, act: impl Future<Output = T>) -> T {
    let began = now();
    let output = act.await;
    let left = number(&call(stage, name, LOOK).await, "x-ratelimit-remaining-tokens");
    let back = began.elapsed().as_secs() * ALL_TOKENS / 60 + ALL_TOKENS / 60;
    let most = ALL_TOKENS.min(ALL_TOKENS - expected + back);
    assert!(
        (ALL_TOKENS - expected..=most).contains(&left),
        "{name}: {left} of {ALL_TOKENS} left, not {expected} spent"
    );
    output
}
