//! What is well formed is served, and nothing is served twice or mixed up.

use crate::fixture::Server;

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(GET).await;
        let answer = client.read_until("GET /a ").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(server.probe.seen().len(), 3);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .send(concat!(
            "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none",
            "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\ntw\r\n1\r\no\r\n0\r\nTrailer: 1\r\n\r\n",
            "\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n",
        ))
        .await;
    let answers = client.read_until("GET /3 ").await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(server.probe.seen(), ["POST /1 one", "POST /2 two", "GET /3 "]);
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_stays_a_body() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{inner}{GET}", inner.len())).await;
    client.read_until("GET /a ").await;
    let seen = server.probe.seen();
    assert_eq!(seen, [format!("POST /1 {inner}"), "GET /a ".to_owned()]);
}

#[tokio::test]
async fn a_head_may_arrive_byte_by_byte() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for byte in "POST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n".bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    client.read_until("POST /slow a").await;
}

#[tokio::test]
async fn http2_is_spoken_without_tls_to_those_who_begin_with_it() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    // An empty SETTINGS frame behind the preface is answered with the server's own (type 4).
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut head = [0; 9];
    tokio::io::AsyncReadExt::read_exact(&mut client.0, &mut head).await.unwrap();
    assert_eq!(head[3], 4);
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let length = 8 * 1024 * 1024;
    client.send(format!("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")).await;
    let (mut read, mut write) = client.0.split();
    let send = async {
        // The server may close before everything is sent; only the answer matters.
        drop(tokio::io::AsyncWriteExt::write_all(&mut write, &vec![0; length]).await);
        drop(tokio::io::AsyncWriteExt::shutdown(&mut write).await);
    };
    let receive = async {
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer).await.expect("reset before the answer was read");
        String::from_utf8(answer).unwrap()
    };
    let ((), answer) = tokio::join!(send, receive);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
