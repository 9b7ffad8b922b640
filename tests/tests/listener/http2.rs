//! HTTP/2 without TLS, by prior knowledge: one connection, many calls, each on its own.

use bytes::Bytes;
use gateway_testing::{Gate, Script};
use gateway_tests::drain::begin_drain;
use gateway_tests::stage::{CALL, CHAT, Stage, authorized};
use gateway_tests::stream::{STREAMED_CALL, finish, text};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<hyper::Result<()>>,
}

async fn connect(stage: &Stage) -> Connection {
    let stream = TcpStream::connect(stage.gateway.address()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    Connection { sender, task: tokio::spawn(connection) }
}

fn call(body: &'static str) -> Request<Full<Bytes>> {
    let mut request = authorized("POST", CHAT, body);
    *request.uri_mut() = format!("http://gateway{CHAT}").parse().unwrap();
    request
}

async fn whole(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_share_a_connection() {
    let stage = Stage::with("").await;
    let connection = connect(&stage).await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        stage.upstream.push(Script::events([&*text("a"), &*finish(), "[DONE]"]));
        let mut sender = connection.sender.clone();
        calls.spawn(async move {
            let response = sender.send_request(call(STREAMED_CALL)).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(
                response.headers().get("transfer-encoding").is_none() && response.headers().get("connection").is_none()
            );
            whole(response).await
        });
    }
    for text in calls.join_all().await {
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_reset_is_cancelled_alone() {
    let stage = Stage::with("").await;
    let mut connection = connect(&stage).await;
    for _ in 0..2 {
        stage.upstream.push(Script::event_stream().event(&text("a")).stall());
    }
    let mut first = connection.sender.send_request(call(STREAMED_CALL)).await.unwrap().into_body();
    let mut second = connection.sender.send_request(call(STREAMED_CALL)).await.unwrap().into_body();
    first.frame().await.unwrap().unwrap();
    second.frame().await.unwrap().unwrap();
    drop(first);
    stage.upstream.connection_closed(0).await;
    let line = stage.gateway.log_line(|line| line.contains(r#""target":"access""#));
    assert!(line.contains(r#""status":499"#), "{line}");

    stage.upstream.push(Script::json(200, "{}"));
    let third = connection.sender.send_request(call(CALL)).await.unwrap();
    assert_eq!(third.status(), 200);
    drop(second);
    stage.upstream.connection_closed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_calls_finish() {
    let mut stage = Stage::with("").await;
    let mut connection = connect(&stage).await;
    let gate = Gate::new();
    let script = Script::event_stream().event(&text("a")).wait(&gate);
    stage.upstream.push(script.event(&finish()).event("[DONE]").end_chunks());
    let response = connection.sender.send_request(call(STREAMED_CALL)).await.unwrap();
    begin_drain(&stage).await;
    gate.open();
    assert!(whole(response).await.ends_with("data: [DONE]\n\n"));
    let line = stage.gateway.log_line(|line| line.contains("stopped"));
    assert!(line.contains(r#""finished":1"#) && line.contains(r#""cut":0"#), "{line}");
    assert!(stage.gateway.wait().unwrap().success());
    connection.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_same_words() {
    let stage = Stage::with("").await;
    let mut connection = connect(&stage).await;
    for (body, status, code) in [("{", 400, "invalid_json"), (r#"{"model":"unknown"}"#, 404, "model_not_found")] {
        let response = connection.sender.send_request(call(body)).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(whole(response).await.contains(code));
    }
    stage.assert_nothing_was_sent("refused");
}
