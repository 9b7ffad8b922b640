//! What is not plain is refused, the connection closed, and no service is called for it.

use crate::fixture::Server;

/// Sends `first`, and a plain request behind it that must never be served.
async fn assert_refused(head: &str, status: &str) {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(format!("{head}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let answer = client.read_to_close().await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?} was answered {answer:?}");
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer:?}");
    assert_eq!(server.probe.seen(), Vec::<String>::new(), "{head:?}");
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "content-length: 0\r\nTRANSFER-ENCODING: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nX-Other: 1\r\ncontent-length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length : 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
    ] {
        assert_refused(&format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n0\r\n\r\n"), "400").await;
    }
}

#[tokio::test]
async fn malformed_heads_are_refused() {
    for head in [
        "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\tA: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: \x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA\0: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: 1\rContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nno preface\r\n\r\n",
        "\x16\x03\x01\x02\0\x01 a TLS hello\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_refused(head, "400").await;
    }
}

#[tokio::test]
async fn heads_have_a_size() {
    let line = |count: usize| "X-Line: 1\r\n".repeat(count);
    assert_refused(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", line(200)), "431").await;
    assert_refused(&format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024)), "431").await;
    // The limit is exact, however much was read at once.
    let full = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(count));
    let rest = 64 * 1024 - full(0).len();
    assert_refused(&full(rest + 1), "431").await;
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(full(rest)).await;
    client.read_until("GET / ").await;
    // The path is not complete when the buffer is full.
    assert_refused(&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000)), "431").await;

    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(format!("GET /a HTTP/1.1\r\nHost: x\r\nX: {}\r\n{}\r\n", "a".repeat(60_000), line(98))).await;
    client.read_until("GET /a ").await;
}

#[tokio::test]
async fn a_refused_request_does_not_harm_the_one_before_it() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .send(concat!(
            "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
            "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
        ))
        .await;
    let answers = client.read_to_close().await;
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert!(answers.contains("POST /1 oneHTTP/1.1 400 Bad Request\r\n"), "{answers}");
    assert_eq!(server.probe.seen(), ["POST /1 one"]);
}

#[tokio::test]
async fn broken_chunks_fail_the_body() {
    for body in [
        "5 5\r\nhello\r\n0\r\n\r\n",
        "g\r\n",
        "\r\n",
        "ffffffffffffffffff\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0\r\nTrailer: 1\nX: 2\r\n\r\n",
        "0\r\n\n",
        "-1\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
    ] {
        let server = Server::start().await;
        let mut client = server.connect().await;
        let head = "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{body}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        client.read_to_close().await;
        assert_eq!(server.probe.seen(), ["POST /1 !"], "{body:?}");
    }
}
