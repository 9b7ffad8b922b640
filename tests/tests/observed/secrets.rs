//! Canaries: keys and contents that must show up in nothing that an operator sees, nor in any error, however much is logged.

use bytes::Bytes;
use gateway_testing::{Answer, Script, client};
use gateway_tests::administrator::{ADMIN_KEY, AUDIT, KEYS, signed};
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site, calling};
use gateway_tests::stage::{CALLER_KEY, CHAT, PROVIDER_KEY, with_header};
use gateway_tests::stream::{Events, finish, text};
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::exposition::{requests, scrape};
use crate::http2::Connection;
use crate::receiver::{Receiver, attribute};

mod quoted;

/// What whoever takes traces wants to see.
const RECEIVERS_KEY: &str = "canary-receiver-0b61d9e27f";

/// What a caller asks.
const PROMPT: &str = "canary prompt: where is the treasure buried";

/// What an upstream answers.
const ANSWER: &str = "canary answer: below the old oak";

/// What nobody may be told who has no business with it.
const KEYS_ALONE: [&str; 4] = [CALLER_KEY, PROVIDER_KEY, ADMIN_KEY, RECEIVERS_KEY];

const ALL: [&str; 6] = [CALLER_KEY, PROVIDER_KEY, ADMIN_KEY, RECEIVERS_KEY, PROMPT, ANSWER];

const CONFIG: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: "${PROVIDER_KEY}", model_mapping: { gpt-4o: gpt-4o-2024 } }
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;

/// Panics if a text tells one of these, in clear or as a list of bytes.
fn assert_silent(place: &str, told: &[u8], canaries: &[&str]) {
    for canary in canaries {
        let numbers = format!("{:?}", &canary.as_bytes()[..8]);
        for form in [canary.as_bytes(), numbers.trim_matches(['[', ']']).as_bytes()] {
            if let Some(at) = told.windows(form.len()).position(|window| window == form) {
                let around = &told[at.saturating_sub(400)..at + form.len()];
                panic!("{place} tells {canary}: {}", String::from_utf8_lossy(around));
            }
        }
    }
}

fn assert_answer_silent(row: &str, answer: &Answer, canaries: &[&str]) {
    assert_silent(row, &answer.body, canaries);
    for (name, value) in &answer.headers {
        assert_silent(&format!("{row}: {name}"), value.as_bytes(), canaries);
    }
}

/// A call with the prompt.
fn prompt(stream: bool) -> String {
    json!({ "model": "gpt-4o", "stream": stream, "messages": [{ "role": "user", "content": PROMPT }] }).to_string()
}

fn answered() -> Script {
    Script::json(200, json!({ "choices": [{ "message": { "role": "assistant", "content": ANSWER } }] }).to_string())
}

struct Scene {
    receiver: Receiver,
    site: Site,
    node: Node,
}

impl Scene {
    /// A gateway on a configuration that logs everything.
    async fn on(config: &str) -> Self {
        let receiver = Receiver::start().await;
        let site = receiver.equip(Site::of(config).await);
        let headers = format!("authorization=Bearer%20{RECEIVERS_KEY}");
        let site = site.with("OTEL_EXPORTER_OTLP_HEADERS", &headers).with("PROVIDER_KEY", PROVIDER_KEY);
        let site = site.with("RUST_LOG", "trace");
        let node = site.start();
        Self { receiver, site, node }
    }

    /// Calls that are answered, some of them not to the end. Only callers see keys or contents, and of keys not even they.
    async fn succeed(&self) -> f64 {
        let begun = Script::event_stream().event(&text(ANSWER));
        let rows = [
            ("plain", prompt(false), answered()),
            ("streamed", prompt(true), Script::events([&*text(ANSWER), &finish(), "[DONE]"])),
            ("truncated", prompt(true), begun.clone().close()),
            ("reset", prompt(true), begun.clone().reset()),
            ("garbled", prompt(true), begun.clone().write("no chunk").close()),
        ];
        let count = rows.len();
        for (row, body, script) in rows {
            self.site.upstream.push(script);
            let answer = self.node.call_with(CALLER_KEY, body).await;
            assert!(answer.status == 200 && answer.text().contains(ANSWER), "{row}: {}", answer.text());
            assert_answer_silent(row, &answer, &KEYS_ALONE);
        }
        self.site.upstream.push(begun.stall());
        let mut events = Events::of(self.node.process.address(), calling(CALLER_KEY, prompt(true))).await;
        assert!(events.next().await.unwrap().contains(ANSWER));
        drop(events);
        self.site.upstream.push(answered());
        let mut connection = Connection::open(self.node.process.address()).await;
        let answer = connection.call(calling(CALLER_KEY, prompt(false))).await;
        assert!(answer.text().contains(ANSWER), "{}", answer.text());
        assert_answer_silent("HTTP/2", &answer, &KEYS_ALONE);
        let count = u32::try_from(count + 2).unwrap();
        f64::from(count)
    }

    /// Calls that come to nothing: their callers are told neither keys nor contents.
    async fn fail(&self) -> f64 {
        let rows = failures();
        let count = u32::try_from(rows.len()).unwrap();
        for (row, request, script, status) in rows {
            if let Some(script) = script {
                self.site.upstream.push(script);
            }
            let answer = self.node.send(request).await;
            assert_eq!(answer.status, status, "{row}: {}", answer.text());
            assert_answer_silent(row, &answer, &ALL);
        }
        f64::from(count)
    }

    /// Whatever administrators ask, whether or not they are any.
    async fn administrate(&self) {
        let key = json!({ "name": "again", "key": CALLER_KEY }).to_string();
        let odd = json!({ "name": "odd", "kye": PROVIDER_KEY }).to_string();
        let provider = json!({ "id": "x", "api_base": "no-url", "api_key": PROVIDER_KEY }).to_string();
        for (method, path, body) in [
            ("GET", KEYS, ""),
            ("GET", PROVIDERS, ""),
            ("GET", MODELS, ""),
            ("GET", AUDIT, ""),
            ("GET", "/admin/v1/config", ""),
            ("GET", "/admin/v1/config/version", ""),
            ("GET", "/admin/v1/usage", ""),
            ("GET", "/health/detailed", ""),
            ("GET", "/metrics", ""),
            ("POST", "/admin/v1/config/reload", ""),
            ("POST", KEYS, &key),
            ("POST", KEYS, &odd),
            ("POST", PROVIDERS, &provider),
        ] {
            let row = format!("{method} {path}");
            let answer = self.node.send(signed(method, path, body.to_owned())).await;
            assert_answer_silent(&row, &answer, &ALL);
            assert_eq!(answer.status.is_success(), body.is_empty(), "{row}: {} {}", answer.status, answer.text());
            for key in [CALLER_KEY, PROVIDER_KEY] {
                let request = client::request(method, path, body.to_owned());
                let answer = self.node.send(with_header(request, "authorization", &format!("Bearer {key}"))).await;
                assert_answer_silent(&row, &answer, &ALL);
            }
        }
    }
}

type Failure = (&'static str, Request<Full<Bytes>>, Option<Script>, u16);

/// Calls that fail, the last of them in a way that those behind it would fail for.
fn failures() -> Vec<Failure> {
    let call = || calling(CALLER_KEY, prompt(false));
    let quoting = json!({ "error": { "message": format!("bad key {PROVIDER_KEY}") } }).to_string();
    let mut broken = prompt(false);
    broken.pop();
    let other_model = prompt(false).replace("gpt-4o", "gpt-0");
    let numbered = prompt(false).replace("\"gpt-4o\"", "7");
    vec![
        ("a provider's key", calling(PROVIDER_KEY, prompt(false)), None, 401),
        ("the admin key", calling(ADMIN_KEY, prompt(false)), None, 401),
        ("no key", client::request("POST", CHAT, prompt(false)), None, 401),
        ("half a body", calling(CALLER_KEY, broken), None, 400),
        ("an unknown model", calling(CALLER_KEY, other_model), None, 404),
        ("no model", calling(CALLER_KEY, numbered), None, 400),
        ("a path with a key", calling_at(&format!("/v1/{CALLER_KEY}")), None, 404),
        ("a query with a key", calling_at(&format!("/v1/nothing?key={CALLER_KEY}")), None, 404),
        ("no JSON", call(), Some(Script::new().answer(200, "text/html", format!("<p>{ANSWER} {PROVIDER_KEY}"))), 502),
        ("half an answer", call(), Some(Script::json(200, format!("{{\"content\":\"{ANSWER}\""))), 502),
        ("a fault", call(), Some(Script::json(400, &quoting)), 400),
        ("a failure", call(), Some(Script::json(500, &quoting)), 502),
        ("a reset", call(), Some(Script::new().write(format!("HTTP/1.1 200 OK\r\nx: {ANSWER}")).reset()), 502),
        ("no HTTP", call(), Some(Script::new().write(format!("{PROVIDER_KEY}\r\n\r\n")).close()), 502),
        ("an empty stream", calling(CALLER_KEY, prompt(true)), Some(Script::event_stream().close()), 502),
        ("a credential that is none", call(), Some(Script::json(401, &quoting)), 502),
    ]
}

fn calling_at(path: &str) -> Request<Full<Bytes>> {
    let mut request = calling(CALLER_KEY, prompt(false));
    *request.uri_mut() = path.parse().unwrap();
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_keys_nor_contents_are_told_to_anybody() {
    let scene = Scene::on(CONFIG).await;
    let count = scene.succeed().await + scene.fail().await;
    scene.administrate().await;
    let all = async || Some(scrape(scene.node.process.address()).await).filter(|text| requests(text) >= count);
    let metrics = until("all calls to be counted", all).await.0;
    assert_silent("a metric", metrics.as_bytes(), &ALL);

    // What the gateway still has to say, it says at its end.
    let log = scene.node.process.stop().join("\n");
    for expected in [r#""level":"DEBUG""#, r#""level":"ERROR""#, r#""target":"access""#] {
        assert!(log.contains(expected), "the log does not tell everything: no {expected}");
    }
    assert_silent("the log", log.as_bytes(), &ALL);
    let spans = scene.receiver.spans();
    let of_calls = spans.iter().filter(|span| !attribute(span, "llm_proxy.request_id").is_empty());
    assert!(of_calls.count() >= 23, "{} spans", spans.len());
    for (head, body) in scene.receiver.bytes() {
        assert_silent("a span", &body, &ALL);
        assert_silent("an export", &head, &[CALLER_KEY, PROVIDER_KEY, ADMIN_KEY, PROMPT, ANSWER]);
    }
}
