//! Calls that belong together go to the same target, where its prompt cache serves them, as long as it is healthy.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use gateway_tests::stage::{CALL, CHAT, Stage, authorized, with_header};
use http::Request;
use http_body_util::Full;

use super::{count, failing, good, hold_all, received_together, scene, spawn_call};

/// How many conversations there are: enough that not all of them belong to one target.
const CONVERSATIONS: usize = 24;

fn config(affinity: &str) -> String {
    format!(
        r#"
auth: none
providers:
  - {{ name: main, api_base: "${{UPSTREAM}}" }}
  - {{ name: spare, api_base: "${{OTHER}}" }}
models:
  gpt-4o: {{ affinity: {affinity}, targets: [ {{ provider: main }}, {{ provider: spare }} ] }}
retry: {{ max_retries: 1, base_delay: 1ms, max_delay: 1ms }}
circuit_breaker: {{ consecutive_failures: 1, open: 60s, max_open: 60s, half_open_probes: 1 }}
"#
    )
}

fn with_session(session: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    with_header(authorized("POST", CHAT, body), "x-session-id", session)
}

/// Who serves a call.
async fn server(stage: &Stage, request: Request<Full<Bytes>>) -> String {
    let answer = stage.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-gateway-provider").to_owned()
}

/// Who serves each conversation; panics if that changes from turn to turn.
async fn servers(stage: &Stage, request: impl Fn(usize, usize) -> Request<Full<Bytes>>) -> BTreeMap<usize, String> {
    let mut servers = BTreeMap::new();
    // The conversations are interleaved, so that the turns of one do not follow each other.
    for turn in 0..4 {
        for conversation in 0..CONVERSATIONS {
            let server = server(stage, request(conversation, turn)).await;
            let first = servers.entry(conversation).or_insert_with(|| server.clone());
            assert_eq!(*first, server, "conversation {conversation}, turn {turn}");
        }
    }
    let used: BTreeSet<_> = servers.values().collect();
    assert_eq!(used.len(), 2, "all conversations at one target: {servers:?}");
    servers
}

#[tokio::test]
async fn a_session_stays_by_whatever_name_it_has() {
    let stage = scene(&config("session"), "").await;
    let named = |member: &'static str| {
        move |conversation: usize, turn: usize| {
            let body = serde_json::json!({ "model": "gpt-4o", "n": turn, member: format!("s-{conversation}") });
            authorized("POST", CHAT, body.to_string())
        }
    };
    let by_header = servers(&stage, |conversation, _| with_session(&format!("s-{conversation}"), CALL)).await;
    // The name decides, not where it stands.
    assert_eq!(servers(&stage, named("prompt_cache_key")).await, by_header);
    assert_eq!(servers(&stage, named("user")).await, by_header);
}

#[tokio::test]
async fn of_several_names_the_most_telling_counts() {
    let stage = scene(&config("session"), "").await;
    let by_header = servers(&stage, |conversation, _| with_session(&format!("s-{conversation}"), CALL)).await;
    // The other names change from turn to turn; if one of them counted, the conversation would not stay.
    let with_all = servers(&stage, |conversation, turn| {
        let other = format!("{conversation}-{turn}");
        let body = serde_json::json!({ "model": "gpt-4o", "prompt_cache_key": other, "user": other });
        with_session(&format!("s-{conversation}"), body.to_string())
    });
    assert_eq!(with_all.await, by_header);
    let with_two = servers(&stage, |conversation, turn| {
        let (key, other) = (format!("s-{conversation}"), format!("{conversation}-{turn}"));
        let body = serde_json::json!({ "model": "gpt-4o", "user": other, "prompt_cache_key": key });
        authorized("POST", CHAT, body.to_string())
    });
    assert_eq!(with_two.await, by_header);
}

#[tokio::test]
async fn a_call_without_a_name_is_balanced() {
    for affinity in ["session", "prompt_prefix"] {
        let stage = scene(&config(affinity), "").await;
        for _ in 0..10 {
            server(&stage, authorized("POST", CHAT, CALL)).await;
        }
        assert_eq!((count(&stage.upstream), count(&stage.other)), (5, 5), "{affinity}");
    }
}

/// A conversation after some turns: instructions, and questions with their answers.
fn growing(conversation: usize, turn: usize) -> Request<Full<Bytes>> {
    let mut messages =
        vec![serde_json::json!({ "role": "system", "content": format!("You are number {conversation}.") })];
    for past in 0..turn {
        messages.push(serde_json::json!({ "role": "user", "content": format!("question {past}") }));
        messages.push(serde_json::json!({ "role": "assistant", "content": format!("answer {past}") }));
    }
    messages.push(serde_json::json!({ "role": "user", "content": format!("question {turn}") }));
    let body =
        serde_json::json!({ "model": "gpt-4o", "messages": messages, "temperature": turn, "user": turn.to_string() });
    authorized("POST", CHAT, body.to_string())
}

#[tokio::test]
async fn a_conversation_stays_while_it_grows() {
    let stage = scene(&config("prompt_prefix"), "").await;
    servers(&stage, growing).await;
}

#[tokio::test]
async fn health_comes_first() {
    let stage = scene(&config("session"), "").await;
    let mut mine = String::new();
    for number in 0.. {
        mine = format!("s-{number}");
        if server(&stage, with_session(&mine, CALL)).await == "main" {
            break;
        }
    }
    stage.upstream.otherwise(|_| failing());
    for _ in 0..5 {
        assert_eq!(server(&stage, with_session(&mine, CALL)).await, "spare");
    }
    // Now nobody is healthy, and the first to fail is the first to be probed.
    stage.other.push(failing());
    stage.upstream.otherwise(|_| good());
    assert_eq!(stage.send(with_session(&mine, CALL)).await.status, 502);
    for _ in 0..5 {
        assert_eq!(server(&stage, with_session(&mine, CALL)).await, "main", "back where it belongs");
    }
}

/// A gateway that restarts, and the others of its fleet, send a conversation where this one does.
#[tokio::test]
async fn two_processes_agree() {
    let by_session = |conversation: usize, _: usize| with_session(&format!("s-{conversation}"), CALL);
    for affinity in ["session", "prompt_prefix"] {
        let mut all = Vec::new();
        for _ in 0..2 {
            let stage = scene(&config(affinity), "").await;
            all.push(if affinity == "session" {
                servers(&stage, by_session).await
            } else {
                servers(&stage, growing).await
            });
        }
        assert_eq!(all[0], all[1], "{affinity}");
    }
}

/// One conversation with many calls at once does not bury its target: a quarter more than its share is the bound.
#[tokio::test]
async fn a_busy_conversation_spills_over() {
    let stage = scene(&config("session"), "").await;
    let gate = hold_all(&stage);
    let mut calls = Vec::new();
    for number in 1..=16 {
        calls.push(spawn_call(&stage, with_session("busy", CALL)));
        received_together(&stage, number).await;
    }
    let mut shares = [count(&stage.upstream), count(&stage.other)];
    shares.sort_unstable();
    assert_eq!(shares, [6, 10], "ten of sixteen are five quarters of half of them");
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
}
