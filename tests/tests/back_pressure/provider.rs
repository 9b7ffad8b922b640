//! The places at a provider: when they are taken, another target is asked, and when all are, a call waits in line.

use gateway_testing::{FakeUpstream, Gate, Script};
use gateway_tests::clock::now;
use gateway_tests::stage::{ONE_ATTEMPT, Stage};
use gateway_tests::stream::{finish, text};
use gateway_tests::wire::exchange;
use tokio::time::Duration;

use super::scene::{Caller, PATIENT, all_are_served, assert_overloaded, held, key, marks, ok, request, room, stage_of};

/// One provider with one place.
const ALONE: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [gpt-4o, mini], max_in_flight: 1 }
master_keys:
"#;

/// Two providers with a place each, of which the first is asked first.
const PAIR: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [gpt-4o], max_in_flight: 1 }
  - { name: other, api_base: "${OTHER}", model_mapping: [gpt-4o], max_in_flight: 1 }
models:
  gpt-4o: { balance: priority, targets: [ { provider: main, priority: 1 }, { provider: other, priority: 2 } ] }
master_keys:
"#;

async fn stage(config: &str, queue: &str, sections: &str) -> Stage {
    stage_of(config, &room(100, queue), &[ONE_ATTEMPT, sections].concat()).await
}

/// A call that is at this upstream until the gate opens.
async fn holds(stage: &Stage, upstream: &FakeUpstream, gate: &Gate, mark: &str) -> Caller {
    let number = upstream.requests().len();
    upstream.push(held(gate));
    let caller = Caller::come(stage, "a", mark).await;
    upstream.request(number).await;
    caller
}

#[tokio::test(flavor = "multi_thread")]
async fn another_target_is_asked_at_once() {
    let stage = stage(PAIR, &format!("size: 5, {PATIENT}"), "").await;
    let gate = Gate::new();
    let first = holds(&stage, &stage.upstream, &gate, "first").await;
    for number in 0..3 {
        let mark = format!("next-{number}");
        let reply = Caller::come(&stage, "a", &mark).await.reply().await;
        assert_eq!((reply.status, reply.header("x-gateway-provider")), (200, "other"));
        // Where there is no room nothing was tried.
        assert_eq!(reply.header("x-gateway-attempts"), "1");
        stage.access_line(&mark);
    }
    gate.open();
    all_are_served(&stage, [first]).await;
    assert_eq!(Caller::come(&stage, "a", "last").await.reply().await.header("x-gateway-provider"), "main");
    assert_eq!(marks(&stage.upstream.requests()), ["first", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_full_a_call_waits_in_line() {
    let stage = stage(PAIR, &format!("size: 5, {PATIENT}"), "").await;
    let (gate, other_gate) = (Gate::new(), Gate::new());
    let first = holds(&stage, &stage.upstream, &gate, "first").await;
    let second = holds(&stage, &stage.other, &other_gate, "second").await;
    let waiting = [Caller::come(&stage, "a", "next-0").await, Caller::come(&stage, "a", "next-1").await];
    assert_eq!((stage.upstream.requests().len(), stage.other.requests().len()), (1, 1));
    gate.open();
    all_are_served(&stage, [first].into_iter().chain(waiting)).await;
    assert_eq!(marks(&stage.upstream.requests()), ["first", "next-0", "next-1"]);
    other_gate.open();
    second.served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_full_and_nobody_may_wait_a_call_is_turned_away() {
    for config in [ALONE, PAIR] {
        let stage = stage(config, "size: 0", "").await;
        let gate = Gate::new();
        let mut callers = vec![holds(&stage, &stage.upstream, &gate, "first").await];
        if config == PAIR {
            callers.push(holds(&stage, &stage.other, &gate, "second").await);
        }
        let reply = Caller::come(&stage, "a", "beyond").await.reply().await;
        assert_overloaded("beyond", &reply);
        assert_eq!(reply.header("x-gateway-attempts"), "", "nothing was tried");
        gate.open();
        all_are_served(&stage, callers).await;
        Caller::come(&stage, "a", "last").await.served().await;
    }
}

/// All models of a provider share its places, and so does what is passed through to it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_to_a_provider_needs_a_place() {
    let stage = stage(ALONE, "size: 0", "passthrough: main\n").await;
    let files = format!("GET /v1/files HTTP/1.1\r\nhost: gw\r\nx-api-key: {}\r\n\r\n", key("b"));
    let gate = Gate::new();
    let first = holds(&stage, &stage.upstream, &gate, "first").await;
    Caller::with(&stage, "b", "mini", r#"{"model":"mini"}"#).await.turned_away().await;
    assert_overloaded("files", &exchange(stage.gateway.address(), files).await);
    gate.open();
    first.served().await;
    assert_eq!(stage.upstream.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_take_turns_at_a_provider_too() {
    let stage = stage(ALONE, &format!("size: 20, {PATIENT}"), "").await;
    let gate = Gate::new();
    let mut callers = vec![holds(&stage, &stage.upstream, &gate, "first").await];
    for mark in ["flood-1", "flood-2", "flood-3", "a-1", "b-1", "a-2"] {
        let name = mark.split('-').next().unwrap();
        callers.push(Caller::come(&stage, name, mark).await);
    }
    gate.open();
    all_are_served(&stage, callers).await;
    let expected = ["first", "flood-1", "a-1", "b-1", "flood-2", "a-2", "flood-3"];
    assert_eq!(marks(&stage.upstream.requests()), expected);
}

/// The call's own time goes on while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_beyond_its_own_time() {
    let stage = stage(ALONE, &format!("size: 5, {PATIENT}"), "").await;
    let gate = Gate::new();
    let first = holds(&stage, &stage.upstream, &gate, "first").await;
    let tight = r#"{"model":"gpt-4o","gateway":{"timeout_ms":300}}"#;
    let began = now();
    let reply = Caller::with(&stage, "a", "tight", tight).await.reply().await;
    let waited = began.elapsed();
    assert_eq!(reply.status, 504, "{reply:?}");
    assert!(reply.body.contains("timeout_error"), "{reply:?}");
    // The queue alone would let it wait for a minute.
    assert!((Duration::from_millis(300)..Duration::from_secs(10)).contains(&waited), "{waited:?}");
    gate.open();
    all_are_served(&stage, [first]).await;
    Caller::come(&stage, "a", "last").await.served().await;
    assert_eq!(marks(&stage.upstream.requests()), ["first", "last"]);
}

/// However an attempt ends, its place is there for the next.
#[tokio::test(flavor = "multi_thread")]
async fn no_place_is_lost() {
    let stage = stage(ALONE, "size: 0", "").await;
    let (plain, streamed) = (r#"{"model":"gpt-4o"}"#, r#"{"model":"gpt-4o","stream":true}"#);
    let tight = r#"{"model":"gpt-4o","gateway":{"timeout_ms":100}}"#;
    let begun = || Script::event_stream().event(&text("a"));
    for (row, body, script, status) in [
        ("success", plain, ok(), 200),
        ("failure", plain, Script::json(500, "{}"), 502),
        ("fault", plain, Script::json(400, "{}"), 400),
        ("busy", plain, Script::json(429, "{}"), 502),
        ("reset", plain, Script::new().write("HTTP/1.1 200").reset(), 502),
        ("silence", tight, Script::new().stall(), 504),
        ("stream", streamed, begun().event(&finish()).event("[DONE]").end_chunks(), 200),
        ("broken-stream", streamed, begun().reset(), 200),
    ] {
        for again in 0..2 {
            stage.upstream.push(script.clone());
            let mark = format!("{row}-{again}");
            let answer = stage.send(request("a", &mark, body)).await;
            assert_eq!(answer.status, status, "{mark}: {}", answer.text());
            stage.access_line(&mark);
        }
    }
    for (row, body, script) in [("left", plain, Script::new().stall()), ("left-stream", streamed, begun().stall())] {
        let number = stage.upstream.requests().len();
        stage.upstream.push(script);
        let caller = Caller::with(&stage, "a", row, body).await;
        stage.upstream.request(number).await;
        Caller::come(&stage, "a", "beyond").await.turned_away().await;
        caller.leave(&stage);
    }
    let gate = Gate::new();
    let last = holds(&stage, &stage.upstream, &gate, "last").await;
    Caller::come(&stage, "a", "beyond").await.turned_away().await;
    gate.open();
    last.served().await;
}

/// A call for which no target has room waits for all of them, in turn with those that wait for one: whichever has room first
/// takes it, and it leaves the other line.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_to_whichever_target_has_room_first() {
    let stage = stage(PAIR, &format!("size: 5, {PATIENT}"), "").await;
    let (gate, other_gate) = (Gate::new(), Gate::new());
    let first = holds(&stage, &stage.upstream, &gate, "first").await;
    let second = holds(&stage, &stage.other, &other_gate, "second").await;
    let (mut next, later) = (Vec::new(), Gate::new());
    stage.other.push(held(&later));
    for mark in ["next-0", "next-1"] {
        next.push(Caller::come(&stage, "a", mark).await);
    }
    other_gate.open();
    second.served().await;
    stage.other.request(1).await;
    gate.open();
    first.served().await;
    later.open();
    all_are_served(&stage, next).await;
    assert_eq!(marks(&stage.other.requests()), ["second", "next-0"]);
    assert_eq!(marks(&stage.upstream.requests()), ["first", "next-1"]);
    Caller::come(&stage, "a", "last").await.served().await;
    assert_eq!(stage.upstream.requests().len(), 3, "the places of both are free again");
}

/// The models of a call are waited for together, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_to_whichever_model_has_room_first() {
    let models = PAIR.replace(
        "model_mapping: [gpt-4o], max_in_flight: 1 }\nmodels",
        "model_mapping: [mini], max_in_flight: 1 }\nmodels",
    );
    let models = models.replace(", { provider: other, priority: 2 } ]", " ], fallback_models: [mini]");
    let stage = stage(&models, &format!("size: 5, {PATIENT}"), "").await;
    let (gate, other_gate) = (Gate::new(), Gate::new());
    let first = holds(&stage, &stage.upstream, &gate, "first").await;
    let second = holds(&stage, &stage.other, &other_gate, "second").await;
    let next = Caller::come(&stage, "a", "next").await;
    other_gate.open();
    second.served().await;
    let reply = next.reply().await;
    assert_eq!((reply.status, reply.header("x-gateway-model")), (200, "mini"), "{}", reply.body);
    assert_eq!(marks(&stage.other.requests()), ["second", "next"]);
    let next = Caller::come(&stage, "a", "later").await;
    assert_eq!(next.reply().await.header("x-gateway-model"), "mini", "its place is free again");
    gate.open();
    first.served().await;
}

/// Callers who leave the lines of several targets leave them all.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_takes_no_place_at_any_target() {
    let stage = stage(PAIR, &format!("size: 2, {PATIENT}"), "").await;
    let (gate, other_gate) = (Gate::new(), Gate::new());
    let first = holds(&stage, &stage.upstream, &gate, "first").await;
    let second = holds(&stage, &stage.other, &other_gate, "second").await;
    for mark in ["left-0", "left-1"] {
        Caller::come(&stage, "a", mark).await.leave(&stage);
    }
    let next = [Caller::come(&stage, "a", "next-0").await, Caller::come(&stage, "a", "next-1").await];
    Caller::come(&stage, "a", "beyond").await.turned_away().await;
    gate.open();
    other_gate.open();
    all_are_served(&stage, [first, second].into_iter().chain(next)).await;
    assert_eq!(stage.upstream.requests().len() + stage.other.requests().len(), 4);
}
