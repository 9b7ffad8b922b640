//! What an HTTP/2 peer had on its way when a call was cancelled.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

use crate::peer::{call, send, within_patience};
use crate::tls::TlsPeer;

/// More than are remembered, by more than h2 forgives by itself, which is a thousand.
const MANY: usize = 2_200;

/// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
/// Both an acknowledgement of settings and the end of a stream.
const LAST: u8 = 1;
const END_HEADERS: u8 = 4;

struct Wire(TlsStream<TcpStream>);

impl Wire {
    /// The type, the flags and the stream of the next frame (section 4.1).
    async fn read(&mut self) -> (u8, u8, u32) {
        let mut head = [0; 9];
        within_patience(self.0.read_exact(&mut head)).await.unwrap();
        let [a, b, c, kind, flags, stream @ ..] = head;
        self.0.read_exact(&mut vec![0; u32::from_be_bytes([0, a, b, c]) as usize]).await.unwrap();
        (kind, flags, u32::from_be_bytes(stream))
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// The stream of the next request, or of the next reset.
    async fn until(&mut self, wanted: u8) -> u32 {
        loop {
            match self.read().await {
                (SETTINGS, 0, _) => self.write(SETTINGS, LAST, 0, &[]).await,
                (kind, _, stream) if kind == wanted => return stream,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_connection_outlives_the_calls_that_were_cancelled_on_it() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let (seen, gone) = (Notify::new(), Notify::new());
    let serving = async {
        let mut wire = Wire(server.accept().await.unwrap());
        wire.0.read_exact(&mut [0; "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await.unwrap();
        wire.write(SETTINGS, 0, 0, &[]).await;
        let mut cancelled = Vec::new();
        for _ in 0..MANY {
            cancelled.push(wire.until(HEADERS).await);
            seen.notify_one();
            wire.until(RST_STREAM).await;
            gone.notify_one();
        }
        for stream in cancelled {
            wire.write(DATA, 0, stream, b"x").await;
        }
        for _ in 0..2 {
            let stream = wire.until(HEADERS).await;
            // By the index of `:status: 200` (RFC 7541, appendix A).
            wire.write(HEADERS, LAST | END_HEADERS, stream, &[0x88]).await;
        }
        wire
    };
    let calls = async {
        for _ in 0..MANY {
            tokio::select! {
                () = seen.notified() => {}
                _ = send(&upstream, "a") => panic!("nobody answers"),
            }
            gone.notified().await;
        }
        for _ in 0..2 {
            assert_eq!(call(&upstream, "b").await.unwrap(), "");
        }
    };
    let (_wire, ()) = join!(serving, calls);
    assert!(server.peer.is_next().await);
}
