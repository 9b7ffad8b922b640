//! What comes back: whole bodies, cut bodies, compressed bodies, and heads that are out of order.

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use bytes::Bytes;
use gateway_upstream::{MAX_DECODED, RequestBody, Upstream, UpstreamErrorKind};
use http::Request;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::join;

use crate::peer::{OK, Peer, call, limits, read, send, within_patience};

/// One call that is answered with exactly these bytes and a close.
async fn answered(answer: impl AsRef<[u8]>) -> Result<(http::response::Parts, Bytes), UpstreamErrorKind> {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.read_request().await;
        // The client may hang up in the middle of a bad answer.
        let _ = wire.stream.write_all(answer.as_ref()).await;
        let _ = wire.stream.shutdown().await;
        wire.closed().await;
    };
    let calling = async {
        let response = send(&upstream, "a").await?;
        let (head, body) = response.into_parts();
        Ok((head, within_patience(body.collect()).await?.to_bytes()))
    };
    let calling = async { calling.await.map_err(|error: gateway_upstream::UpstreamError| error.kind()) };
    join!(calling, serving).0
}

#[tokio::test]
async fn requests_go_to_the_configured_origin_whatever_they_name() {
    let (peer, upstream) = Peer::plain().await;
    let request = Request::post("https://elsewhere.example/v1/x?y=1")
        .header("host", "elsewhere.example")
        .body(RequestBody::from_segments(["{\"a\"", ":", "\"b\"", "", "}"].map(Bytes::from)))
        .unwrap();
    let (answer, (head, body)) = join!(upstream.send(request, limits()), async { peer.accept().await.serve(OK).await });
    answer.unwrap();
    let port = peer.listener.local_addr().unwrap().port();
    assert!(head.starts_with("POST /v1/x?y=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{head}");
    assert!(head.contains("content-length: 9\r\n"), "{head}");
    assert!(!head.contains("elsewhere"), "{head}");
    assert_eq!(body, br#"{"a":"b"}"#);
}

#[tokio::test]
async fn cut_bodies_are_errors() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
    ] {
        assert_eq!(answered(answer).await.unwrap_err(), UpstreamErrorKind::BodyReset, "{answer}");
    }
    // Without framing the close is the end (RFC 9112, section 6.3, item 8).
    assert_eq!(answered("HTTP/1.1 200 OK\r\n\r\nabc").await.unwrap().1, "abc");
}

#[tokio::test]
async fn answers_that_are_not_http_are_errors() {
    let many = "x: 1\r\n".repeat(101);
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(65 * 1024));
    for answer in [
        "SSH-2.0-OpenSSH_9\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        &large,
        &"\r\n".repeat(40 * 1024),
        &"HTTP/1.1 100 Continue\r\n\r\n".repeat(3000),
    ] {
        assert_eq!(answered(answer).await.unwrap_err(), UpstreamErrorKind::Protocol, "{answer:.60}");
    }
}

#[tokio::test]
async fn a_head_within_the_limits_is_taken() {
    let many = "x: 1\r\n".repeat(98);
    let large = format!("x: {}\r\n", "y".repeat(60 * 1024));
    for headers in [many, large] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 1\r\n\r\na");
        assert_eq!(answered(answer).await.unwrap().1, "a");
    }
}

#[tokio::test]
async fn interim_answers_are_skipped_and_redirects_are_answers() {
    let interim = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n{OK}");
    let (head, body) = answered(interim).await.unwrap();
    assert_eq!((head.status.as_u16(), &body[..]), (200, &b"ok"[..]));
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(answered(redirect).await.unwrap().0.status, 307);
}

async fn compress(coding: &str, plain: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(plain).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match coding {
        "gzip" => with!(GzipEncoder),
        "deflate" => with!(ZlibEncoder),
        "br" => with!(BrotliEncoder),
        _ => with!(ZstdEncoder),
    }
}

#[tokio::test]
async fn compressed_answers_are_inflated() {
    let plain: Vec<u8> = (0..10_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let (peer, upstream) = Peer::plain().await;
        let packed = compress(coding, &plain).await;
        let head = |framing| format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n{framing}\r\n\r\n").into_bytes();
        let by_length = [head(format!("content-length: {}", packed.len())), packed.clone()].concat();
        let size = format!("{:x}\r\n", packed.len()).into_bytes();
        let end = b"\r\n0\r\n\r\n".to_vec();
        let in_chunks = [head("transfer-encoding: chunked".to_owned()), size, packed, end].concat();
        let serving = async {
            let mut wire = peer.accept().await;
            for answer in [by_length, in_chunks] {
                wire.read_request().await;
                wire.write(answer).await;
            }
            // The decoder read to the end, so the connection is free for a third call.
            wire.serve(OK).await;
        };
        let calls = async {
            for _ in 0..2 {
                let response = send(&upstream, "a").await.unwrap();
                assert!(!response.headers().contains_key(CONTENT_ENCODING));
                assert!(!response.headers().contains_key(CONTENT_LENGTH));
                assert!(read(response).await.unwrap() == plain, "{coding}");
            }
            call(&upstream, "b").await.unwrap();
        };
        join!(serving, calls);
        assert!(peer.is_next().await);
    }
}

#[tokio::test]
async fn compressed_answers_that_are_cut_or_wrong_are_errors() {
    let packed = compress("gzip", &[b'x'; 10_000]).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n";
    // The framing says that more should have come, so it was cut by the connection.
    let cut = [format!("{head}content-length: 9999\r\n\r\n").as_bytes(), &packed].concat();
    assert_eq!(answered(cut).await.unwrap_err(), UpstreamErrorKind::BodyReset);
    // The framing is right and the content is not.
    let half = [format!("{head}content-length: 20\r\n\r\n").as_bytes(), &packed[..20]].concat();
    assert_eq!(answered(half).await.unwrap_err(), UpstreamErrorKind::Protocol);
    let wrong = format!("{head}content-length: 5\r\n\r\nhello");
    assert_eq!(answered(wrong).await.unwrap_err(), UpstreamErrorKind::Protocol);
    let unknown = "HTTP/1.1 200 OK\r\ncontent-encoding: compress\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(answered(unknown).await.unwrap_err(), UpstreamErrorKind::UnsupportedEncoding);
}

/// A frame of zstd in which four bytes stand for 128 KiB of zeros each (RFC 8878, section 3.1.1.2.2, `RLE_Block`).
fn bomb(inflated: u64) -> Vec<u8> {
    const BLOCK: u32 = 128 * 1024;
    // The magic number, a header without any option, and a window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for _ in 0..inflated / u64::from(BLOCK) {
        let header = (BLOCK << 3) | (1 << 1);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    // The last block, raw and empty.
    frame.extend_from_slice(&[1, 0, 0]);
    frame
}

#[tokio::test]
async fn an_answer_that_inflates_without_end_is_cut_off() {
    let (peer, upstream) = Peer::plain().await;
    let frame = bomb(MAX_DECODED + 1024 * 1024);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\ncontent-length: {}\r\n\r\n", frame.len());
    let serving = async {
        let mut wire = peer.accept().await;
        wire.read_request().await;
        wire.write([head.into_bytes(), frame].concat()).await;
        wire
    };
    let (body, _wire) = join!(async { send(&upstream, "a").await.unwrap().into_body() }, serving);
    let mut body = body;
    let mut seen = 0;
    let failed = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => seen += frame.into_data().unwrap().len() as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(failed.kind(), UpstreamErrorKind::DecodeTooLarge);
    assert!((MAX_DECODED - 1024 * 1024..=MAX_DECODED).contains(&seen), "{seen}");
    assert!(body.frame().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mebibyte_goes_both_ways() {
    let (peer, upstream) = Peer::plain().await;
    let sent: Vec<u8> = (0..1024 * 1024_u32).map(|byte| byte.to_le_bytes()[0] ^ byte.to_le_bytes()[1]).collect();
    let serving = tokio::spawn(async move {
        let mut wire = peer.accept().await;
        for _ in 0..3 {
            let (_, body) = wire.read_request().await;
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len())).await;
            wire.write(body).await;
        }
    });
    let echo = |upstream: Upstream, sent: Vec<u8>| async move {
        let request = Request::post("/").body(RequestBody::from(Bytes::from(sent))).unwrap();
        read(upstream.send(request, limits()).await.unwrap()).await.unwrap()
    };
    for _ in 0..3 {
        assert!(echo(upstream.clone(), sent.clone()).await == sent);
    }
    within_patience(serving).await.unwrap();
}
