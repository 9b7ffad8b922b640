//! Streams that an HTTP/2 peer says it did not process.

use gateway_upstream::UpstreamErrorKind;
use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::http2::{accept, answer, drain, next, until};
use crate::peer::{call, send, within_patience};
use crate::tls::TlsPeer;

#[tokio::test]
async fn a_refused_stream_is_repeated_once_on_a_new_connection() {
    for is_first in [true, false] {
        let server = TlsPeer::new(&["h2"]).await;
        let upstream = server.upstream();
        let serving = async {
            let mut peer = accept(&server, 100).await;
            if !is_first {
                let (_, to) = next(&mut peer).await;
                answer(to);
            }
            let (_, mut to) = next(&mut peer).await;
            to.send_reset(Reason::REFUSED_STREAM);
            let replacement = async {
                let mut peer = accept(&server, 100).await;
                let (mut request, to) = next(&mut peer).await;
                let body = until(&mut peer, request.body_mut().data()).await;
                assert_eq!(body.unwrap().unwrap(), "again");
                answer(to);
                tokio::spawn(drain(peer));
            };
            until(&mut peer, Box::pin(replacement)).await;
        };
        let calls = async {
            if !is_first {
                assert_eq!(call(&upstream, "a").await.unwrap(), "ok");
            }
            assert_eq!(call(&upstream, "again").await.unwrap(), "ok");
        };
        join!(serving, calls);
        assert!(server.peer.is_next().await);
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_twice_is_an_error() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let serving = async {
        let mut refusing = Vec::new();
        for _ in 0..2 {
            let mut peer = accept(&server, 100).await;
            let (_, mut to) = next(&mut peer).await;
            to.send_reset(Reason::REFUSED_STREAM);
            refusing.push(tokio::spawn(drain(peer)));
        }
    };
    let (failed, ()) = join!(send(&upstream, "a"), serving);
    assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Reset);
    assert!(server.peer.is_next().await);
}

/// Reads frames (RFC 9113, section 4.1) behind the client's preface up to the first of this type.
async fn read_to(stream: &mut TlsStream<TcpStream>, wanted: u8) {
    const PREFACE: usize = 24;
    stream.read_exact(&mut [0; PREFACE]).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
        if head[3] == wanted {
            return;
        }
    }
}

/// What a server sends that is about to stop: it may have accepted the connection, but takes no request any more.
#[tokio::test]
async fn a_request_that_meets_a_goaway_is_repeated_on_a_new_connection() {
    const HEADERS_FRAME: u8 = 1;
    // No settings; the last stream processed is 0, for no error.
    const FAREWELL: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for heard in [false, true] {
        let server = TlsPeer::new(&["h2"]).await;
        let upstream = server.upstream();
        let serving = async {
            let mut leaving = server.accept().await.unwrap();
            if heard {
                within_patience(read_to(&mut leaving, HEADERS_FRAME)).await;
            }
            leaving.write_all(FAREWELL).await.unwrap();
            leaving.flush().await.unwrap();
            let mut peer = accept(&server, 100).await;
            let (mut request, to) = next(&mut peer).await;
            let body = until(&mut peer, request.body_mut().data()).await;
            assert_eq!(body.unwrap().unwrap(), "a");
            answer(to);
            tokio::spawn(drain(peer));
        };
        let (answer, ()) = join!(call(&upstream, "a"), serving);
        assert_eq!(answer.unwrap(), "ok");
    }
}
