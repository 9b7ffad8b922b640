//! Answers that break off: what there was of them reaches the peer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateway_listener::{Listener, ListenerConfig};
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use tokio::net::TcpStream;

use crate::fixture::Client;

/// So much, all of it at once, and then an error without any wait.
struct Breaking(Option<Bytes>);

impl Body for Breaking {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = self.0.take().map(Frame::data);
        Poll::Ready(Some(frame.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(100)
    }
}

/// What a peer gets of an answer with this data and then an error.
async fn received(part: Option<&'static str>) -> String {
    let listener = Listener::bind(&ListenerConfig::new("127.0.0.1:0")).await.unwrap();
    let address = listener.local_addr();
    let service = service_fn(move |_| async move { Ok(Response::new(Breaking(part.map(Bytes::from)))) });
    let serving = tokio::spawn(listener.serve(service, std::future::pending()));
    let mut client = Client(TcpStream::connect(address).await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = client.read_to_close().await;
    serving.abort();
    answer
}

#[tokio::test]
async fn what_came_before_an_answer_broke_off_is_sent() {
    let answer = received(Some("half of it")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhalf of it"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_fails_before_it_has_any_data_is_none() {
    assert_eq!(received(None).await, "");
}
