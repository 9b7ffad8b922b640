//! The places of the process: how many calls are served at once, and what is said to the next.

use gateway_testing::{Gate, Script, client};
use gateway_tests::refusal::{assert_refused, refusal};
use gateway_tests::stage::{CALLER_KEY, ONE_ATTEMPT, PLAIN, Stage};
use gateway_tests::stream::{finish, text};
use gateway_tests::wire::{Wire, exchange};

use super::scene::{Caller, all_are_served, assert_overloaded, head, held, key, marks, request, room, stage, stage_of};

/// Half of an answer.
const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{";

/// Fills so many places, and finds that there are no more. Says when they are to be emptied.
async fn fill(stage: &Stage, places: usize, row: &str) -> (Gate, Vec<Caller>) {
    let (gate, before) = (Gate::new(), stage.upstream.requests().len());
    let mut callers = Vec::new();
    for place in 0..places {
        stage.upstream.push(held(&gate));
        callers.push(Caller::come(stage, "a", &format!("{row}-{place}")).await);
        stage.upstream.request(before + place).await;
    }
    Caller::come(stage, "a", &format!("{row}-beyond")).await.turned_away().await;
    assert_eq!(stage.upstream.requests().len(), before + places, "{row}");
    (gate, callers)
}

/// All places can be used, and are free again.
async fn assert_all_free(stage: &Stage, places: usize, row: &str) {
    let (gate, callers) = fill(stage, places, row).await;
    gate.open();
    all_are_served(stage, callers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_queue_whoever_finds_no_place_is_turned_away() {
    let stage = stage(2, "size: 0").await;
    let (gate, callers) = fill(&stage, 2, "first").await;
    // Whoever it is, and whatever is asked.
    Caller::come(&stage, "b", "other").await.turned_away().await;
    Caller::with(&stage, "b", "stream", r#"{"model":"gpt-4o","stream":true}"#).await.turned_away().await;
    Caller::with(&stage, "b", "broken", "{").await.turned_away().await;
    gate.open();
    all_are_served(&stage, callers).await;
    assert_all_free(&stage, 2, "again").await;
    assert!(!marks(&stage.upstream.requests()).contains(&"other".to_owned()));
}

/// Who is turned away does not have to send its body first.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_waited_for_in_vain() {
    let stage = stage(1, "size: 0").await;
    let (gate, callers) = fill(&stage, 1, "first").await;
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write(head("a", "late", 1_000_000)).await;
    assert_overloaded("a large body", &wire.reply().await);
    gate.open();
    all_are_served(&stage, callers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_needs_a_place_too() {
    let stage = stage_of(PLAIN, &room(1, "size: 0"), &format!("passthrough: main\n{ONE_ATTEMPT}")).await;
    let files = |mark| {
        let key = key("a");
        format!("GET /v1/files HTTP/1.1\r\nhost: gw\r\nx-api-key: {key}\r\nx-request-id: {mark}\r\n\r\n")
    };
    let (gate, callers) = fill(&stage, 1, "call").await;
    assert_overloaded("passed through", &exchange(stage.gateway.address(), files("refused")).await);
    gate.open();
    all_are_served(&stage, callers).await;
    let (gate, before) = (Gate::new(), stage.upstream.requests().len());
    stage.upstream.push(held(&gate));
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write(files("passed")).await;
    stage.upstream.request(before).await;
    Caller::come(&stage, "a", "beyond").await.turned_away().await;
    gate.open();
    assert_eq!(wire.reply().await.status, 200);
}

/// Load balancers must not take a gateway for dead because it is busy, and what needs no upstream needs no place.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_answered_during_an_overload() {
    let stage = stage(1, "size: 0").await;
    let (gate, callers) = fill(&stage, 1, "first").await;
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(client::get(stage.gateway.address(), path).await.status, 200, "{path}");
    }
    let list = format!("GET /v1/models HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\n\r\n");
    assert_eq!(exchange(stage.gateway.address(), list).await.status, 200);
    // A key that is not known is refused as such: whoever has none must not learn how busy the gateway is.
    let stranger = head("stranger", "stranger", 2) + "{}";
    let message = "The API key is not known here. Check it, or ask this gateway's administrator for another.";
    let expected = refusal("authentication_error", "invalid_api_key", "", message);
    assert_refused("stranger", &exchange(stage.gateway.address(), stranger).await, 401, &expected);
    gate.open();
    all_are_served(&stage, callers).await;
}

/// However calls end, their places are there for the next.
#[tokio::test(flavor = "multi_thread")]
async fn no_place_is_lost() {
    let stage = stage(3, "size: 0").await;
    let (plain, streamed) = (r#"{"model":"gpt-4o"}"#, r#"{"model":"gpt-4o","stream":true}"#);
    let tight = r#"{"model":"gpt-4o","gateway":{"timeout_ms":100}}"#;
    let tight_stream = r#"{"model":"gpt-4o","stream":true,"gateway":{"timeout_ms":100}}"#;
    let begun = || Script::event_stream().event(&text("a"));
    for (row, body, script, status) in [
        ("success", plain, Some(Script::json(200, "{}")), 200),
        ("failure", plain, Some(Script::json(500, "{}")), 502),
        ("fault", plain, Some(Script::json(400, "{}")), 400),
        ("reset", plain, Some(Script::new().write("HTTP/1.1 200").reset()), 502),
        ("half", plain, Some(Script::new().write(HALF).close()), 502),
        ("silence", tight, Some(Script::new().stall()), 504),
        ("stream", streamed, Some(begun().event(&finish()).event("[DONE]").end_chunks()), 200),
        ("broken-stream", streamed, Some(begun().reset()), 200),
        ("silent-stream", tight_stream, Some(begun().stall()), 200),
        ("no-json", "{", None, 400),
        ("no-model", r#"{"model":"unknown"}"#, None, 404),
    ] {
        for again in 0..4 {
            if let Some(script) = &script {
                stage.upstream.push(script.clone());
            }
            let mark = format!("{row}-{again}");
            let answer = stage.send(request("a", &mark, body)).await;
            assert_eq!(answer.status, status, "{mark}: {}", answer.text());
            stage.access_line(&mark);
        }
    }
    assert_all_free(&stage, 3, "ended").await;
}

/// However callers leave, too.
#[tokio::test(flavor = "multi_thread")]
async fn no_place_is_lost_with_who_leaves() {
    let stage = stage(3, "size: 0").await;
    let (plain, streamed) = (r#"{"model":"gpt-4o"}"#, r#"{"model":"gpt-4o","stream":true}"#);
    for (row, body, script) in [
        ("no-head", plain, Script::new().stall()),
        ("half", plain, Script::new().write(HALF).stall()),
        ("no-event", streamed, Script::event_stream().stall()),
        ("stream", streamed, Script::event_stream().event(&text("a")).stall()),
    ] {
        for again in 0..4 {
            let number = stage.upstream.requests().len();
            stage.upstream.push(script.clone());
            let caller = Caller::with(&stage, "a", &format!("{row}-{again}"), body).await;
            stage.upstream.request(number).await;
            caller.leave(&stage);
        }
    }
    // In the middle of the request: it has a place, and nobody to read its body for.
    for again in 0..4 {
        let mut wire = Wire::open(stage.gateway.address()).await;
        wire.write(head("a", &format!("request-{again}"), 100) + "{").await;
        drop(wire);
        assert_eq!(stage.access_line(&format!("request-{again}"))["status"], 400);
    }
    assert_all_free(&stage, 3, "left").await;
}
