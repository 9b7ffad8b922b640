//! Connections to the upstream outlive the streams that ended well.

use gateway_testing::{Gate, Script};
use gateway_tests::stage::{CALL, CHAT, ONE_WORKER, Stage};
use gateway_tests::stream::{DONE, Events, event, finish, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ended_leaves_its_connection() {
    let stage = Stage::with(ONE_WORKER).await;
    for _ in 0..5 {
        stage.upstream.push(Script::events([&*text("a"), &*finish(), "[DONE]"]));
        assert_eq!(Events::open(stage.gateway.address()).await.rest().await.len(), 3);
        stage.upstream.push(Script::events([&*text("a"), &*finish()]));
        assert_eq!(Events::open(stage.gateway.address()).await.rest().await.len(), 3);
        stage.upstream.push(Script::json(200, "{}"));
        assert_eq!(stage.post(CHAT, CALL).await.status, 200);
    }
    assert_eq!(stage.upstream.connections(), 1);
}

/// The caller has everything with `[DONE]`, whatever the upstream's connection does then.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_behind_done_harms_nobody() {
    let stage = Stage::with("").await;
    for end in [Script::close, Script::reset, Script::stall] {
        stage.upstream.push(end(Script::event_stream().event(&text("a")).event(&finish()).event("[DONE]")));
        let mut events = Events::open(stage.gateway.address()).await;
        let request_id = events.headers["x-request-id"].to_str().unwrap().to_owned();
        let events = events.rest().await;
        assert_eq!(events[1..], [event(&finish()), DONE.to_owned()]);
        let line = stage.access_line(&request_id);
        assert_eq!((&line["status"], &line["error"]), (&200.into(), &serde_json::Value::Null), "{line}");
        assert_eq!(line["attempts"], "main/gpt-4o-2024:success:200", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_connection_is_replaced_silently() {
    let stage = Stage::with(ONE_WORKER).await;
    for (round, death) in [Script::after_head().close(), Script::after_head().reset()].into_iter().enumerate() {
        // The first answer leaves its connection in the pool; the second request finds it dead.
        let connections = stage.upstream.connections();
        for script in [Script::json(200, "{}"), death, Script::json(200, "{}"), Script::json(200, "{}").close()] {
            stage.upstream.push(script);
        }
        for _ in 0..3 {
            let answer = stage.post(CHAT, CALL).await;
            assert_eq!(answer.status, 200, "{round}: {}", answer.text());
            assert_eq!(answer.header("x-gateway-attempts"), "1");
            assert_eq!(answer.json()["gateway"]["attempts"].as_array().unwrap().len(), 1);
        }
        assert_eq!(stage.upstream.connections(), connections + 2, "{round}");
        stage.upstream.connection_closed(connections + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closed_while_idle_is_not_used() {
    let stage = Stage::with(ONE_WORKER).await;
    let gate = Gate::new();
    stage.upstream.push(Script::json(200, "{}").wait(&gate).close());
    assert_eq!(stage.post(CHAT, CALL).await.status, 200);
    gate.open();
    stage.upstream.connection_closed(0).await;
    stage.upstream.push(Script::json(200, "{}"));
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-gateway-attempts")), (200, "1"));
    assert_eq!(stage.upstream.connections(), 2);
}
