//! Upstreams that quote in their errors what they were asked. Their caller may read that, and nobody else.

use std::fs;

use gateway_testing::Script;
use gateway_tests::administrator::signed;
use gateway_tests::patience::until;
use gateway_tests::site::calling;
use gateway_tests::stage::{CALLER_KEY, PROVIDER_KEY};
use gateway_tests::stream::text;
use serde_json::{Value, json};

use super::{ALL, ANSWER, KEYS_ALONE, PROMPT, Scene, assert_answer_silent, assert_silent};
use crate::exposition::{requests, scrape};
use crate::receiver::attribute;

/// An error in OpenAI's shape with the prompt in its words.
fn error(kind: &str, code: &str) -> String {
    let message = format!("{PROVIDER_KEY} may not ask this: {PROMPT}");
    json!({ "error": { "message": message, "type": kind, "code": code, "param": PROMPT } }).to_string()
}

/// What an upstream answers, whether in a stream, and the type and code that are logged of it; none if nothing is.
struct Row {
    name: &'static str,
    stream: bool,
    script: Script,
    logged: Option<[Option<&'static str>; 2]>,
}

fn row(name: &'static str, script: Script, logged: Option<[Option<&'static str>; 2]>) -> Row {
    Row { name, stream: false, script, logged }
}

fn rows() -> Vec<Row> {
    let named = || error("server_error", "engine_exploded");
    let told = Some([Some("server_error"), Some("engine_exploded")]);
    let wrapped = json!({ "error": { "message": PROMPT, "code": 500, "type": "server_error" } }).to_string();
    let broken = format!("{{\"choices\":[{{\"message\":{{\"content\":\"{ANSWER} {PROMPT}");
    let begun = Script::event_stream().event(&text(ANSWER));
    vec![
        row("a failure", Script::json(500, named()), told),
        row("an overload", Script::json(503, named()), told),
        row("a limit", Script::json(429, named()), told),
        row("a credential that is none", Script::json(401, named()), told),
        row("a credential that may not", Script::json(403, named()), told),
        row("names that are words", Script::json(500, error(PROMPT, PROMPT)), Some([None; 2])),
        row("a name that is a key", Script::json(500, error(PROVIDER_KEY, "x")), Some([None, Some("x")])),
        row("no JSON", Script::new().answer(500, "text/html", format!("<p>{PROMPT}")), Some([None; 2])),
        row("JSON that breaks off", Script::json(500, &named()[..named().len() - 1]), Some([None; 2])),
        row("a detail", Script::json(500, json!({ "detail": PROMPT }).to_string()), Some([None; 2])),
        row("a redirect", Script::json(302, named()), told),
        row("a fault", Script::json(400, named()), None),
        row("a fault in text", Script::new().answer(422, "text/plain", PROMPT), None),
        row("too long", Script::json(400, error("invalid_request_error", "context_length_exceeded")), None),
        row(
            "no such model",
            Script::json(404, error("x", "model_not_found")),
            Some([Some("x"), Some("model_not_found")]),
        ),
        row("an error in a success", Script::json(200, &wrapped), Some([Some("server_error"), None])),
        row("half an answer", Script::json(200, &broken), Some([None; 2])),
        Row { stream: true, ..row("an event first", Script::events([&*named()]), told) },
        Row { stream: true, ..row("a failure first", Script::events([&*wrapped]), Some([Some("server_error"), None])) },
        Row { stream: true, ..row("an event behind content", begun.clone().event(&named()).end_chunks(), None) },
        Row { stream: true, ..row("no event", begun.write(format!("no chunk {PROMPT}\r\n")).close(), None) },
    ]
}

/// A provider for each row, so that none suffers from what another has done.
fn config(rows: usize) -> String {
    let provider = |row| {
        format!(
            "  - {{ name: p{row}, api_base: \"${{UPSTREAM}}\", api_key: \"${{PROVIDER_KEY}}\", model_mapping: {{ m{row}: m }} }}\n"
        )
    };
    let providers: String = (0..rows).map(provider).collect();
    format!(
        "providers:\n{providers}retry: {{ max_retries: 0 }}\nmaster_keys: [ {{ name: team, key: \"${{CALLER_KEY}}\" }} ]\n"
    )
}

/// A call to the provider of a row, with the prompt.
fn prompt(row: usize, stream: bool) -> String {
    let messages = json!([{ "role": "user", "content": PROMPT }]);
    json!({ "model": format!("m{row}"), "stream": stream, "messages": messages }).to_string()
}

/// The lines of a log about an attempt at a provider that failed.
fn failures(log: &[String], provider: usize) -> Vec<Value> {
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_failure = |line: &Value| matches!(line["level"].as_str(), Some("WARN" | "ERROR"));
    lines.filter(|line| is_failure(line) && line["provider"] == format!("p{provider}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_an_upstream_quotes_is_told_to_nobody_else() {
    let rows = rows();
    let count = rows.len();
    let scene = Scene::on(&config(count)).await;
    for (number, row) in rows.iter().enumerate() {
        scene.site.upstream.push(row.script.clone());
        let answer = scene.node.send(calling(CALLER_KEY, prompt(number, row.stream))).await;
        assert_answer_silent(row.name, &answer, &KEYS_ALONE);
        assert_eq!(scene.site.upstream.requests().len(), number + 1, "{}: {}", row.name, answer.text());
    }
    for path in ["/health/detailed", "/admin/v1/config", "/admin/v1/usage"] {
        assert_answer_silent(path, &scene.node.send(signed("GET", path, String::new())).await, &ALL);
    }
    let calls = f64::from(u32::try_from(count).unwrap());
    let all = async || Some(scrape(scene.node.process.address()).await).filter(|text| requests(text) >= calls);
    assert_silent("a metric", until("all calls to be counted", all).await.0.as_bytes(), &ALL);

    let log = scene.node.process.stop();
    assert_silent("the log", log.join("\n").as_bytes(), &ALL);
    for (number, row) in rows.iter().enumerate() {
        let told = failures(&log, number);
        let names: Vec<_> =
            told.iter().map(|line| [line["error_type"].as_str(), line["error_code"].as_str()]).collect();
        assert_eq!(names, row.logged.into_iter().collect::<Vec<_>>(), "{}: {told:?}", row.name);
    }
    let spans = scene.receiver.spans();
    let of_calls = spans.iter().filter(|span| !attribute(span, "llm_proxy.request_id").is_empty());
    assert!(of_calls.count() >= count, "{} spans", spans.len());
    for (_, body) in scene.receiver.bytes() {
        assert_silent("a span", &body, &ALL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_may_have_the_words_of_upstreams_logged_and_no_longer() {
    let scene = Scene::on(&config(1)).await;
    let file = scene.site.folder.path().join("config.yaml");
    for switch in ["", "logging: { upstream_errors: on }\n", "logging: { upstream_errors: off }\n"] {
        fs::write(&file, format!("{}{switch}", config(1))).unwrap();
        let reloaded = scene.node.send(signed("POST", "/admin/v1/config/reload", String::new())).await;
        assert_eq!(reloaded.status, 200, "{}", reloaded.text());
        scene.site.upstream.push(Script::json(500, error("server_error", "x") + &" ".repeat(600)));
        let answer = scene.node.send(calling(CALLER_KEY, prompt(0, false))).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    let log = scene.node.process.stop();
    assert_silent("the log", log.join("\n").as_bytes(), &KEYS_ALONE);
    let told = failures(&log, 0);
    let words: Vec<_> = told.iter().map(|line| line["error_message"].as_str()).collect();
    let [None, Some(words), None] = words[..] else { panic!("{told:?}") };
    assert!(words.contains(PROMPT) && words.contains("[redacted]") && words.len() == 512, "{words}");
}
