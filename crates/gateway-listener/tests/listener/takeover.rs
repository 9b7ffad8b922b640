//! One listener goes while another one of the same address is there, and no call is lost between them.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gateway_listener::{Drained, Listener, ListenerConfig};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::fixture::{Client, Server};

const TAKEOVERS: usize = 10;
/// Of each kind.
const CLIENTS: usize = 4;
/// So that a run does not need more ports than there are.
const PAUSE: Duration = Duration::from_millis(2);

async fn join(address: &str) -> Server {
    let mut config = ListenerConfig::new(address);
    config.reuse_port = true;
    Server::of(Listener::bind(&config).await.unwrap())
}

/// Clients that count what they were answered, and fail at the first call that they were not.
struct Load {
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let (is_over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(tokio::spawn(call_anew(address, Arc::clone(&is_over), Arc::clone(&answers))));
            clients.push(tokio::spawn(call_again(address, Arc::clone(&is_over), Arc::clone(&answers))));
            clients.push(tokio::spawn(call_side_by_side(address, Arc::clone(&is_over), Arc::clone(&answers))));
        }
        Self { is_over, answers, clients }
    }

    /// Waits until every client can have had some more answers.
    async fn go_on(&self) {
        let enough = self.answers.load(Ordering::Relaxed) + 10 * self.clients.len();
        while self.answers.load(Ordering::Relaxed) < enough {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a call was lost");
            sleep(PAUSE).await;
        }
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

/// A connection for every call.
async fn call_anew(address: SocketAddr, is_over: Arc<AtomicBool>, answers: Arc<AtomicUsize>) {
    while !is_over.load(Ordering::Relaxed) {
        let mut client = Client(TcpStream::connect(address).await.expect("refused"));
        client.send("GET /new HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(client.read_to_close().await.ends_with("GET /new "));
        answers.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
}

/// A connection for as many calls as the listener lets it have.
async fn call_again(address: SocketAddr, is_over: Arc<AtomicBool>, answers: Arc<AtomicUsize>) {
    while !is_over.load(Ordering::Relaxed) {
        let mut client = Client(TcpStream::connect(address).await.expect("refused"));
        while !is_over.load(Ordering::Relaxed) {
            client.send("POST /kept HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").await;
            let answer = client.read_until("POST /kept hi").await;
            answers.fetch_add(1, Ordering::Relaxed);
            if answer.contains("connection: close") {
                assert_eq!(client.read_to_close().await, "");
                break;
            }
            sleep(PAUSE).await;
        }
    }
}

/// HTTP/2: a connection for as many calls as are accepted before its GOAWAY is heard.
async fn call_side_by_side(address: SocketAddr, is_over: Arc<AtomicBool>, answers: Arc<AtomicUsize>) {
    while !is_over.load(Ordering::Relaxed) {
        let io = TokioIo::new(TcpStream::connect(address).await.expect("refused"));
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let connection = tokio::spawn(connection);
        while !is_over.load(Ordering::Relaxed) && sender.ready().await.is_ok() {
            let request = Request::get("http://x/multiplexed").body(Empty::<&[u8]>::new()).unwrap();
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "GET /multiplexed ");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                Err(mut error) => assert!(error.take_message().is_some() || was_not_looked_at(error.error())),
            }
            sleep(PAUSE).await;
        }
        drop(sender);
        connection.await.unwrap().unwrap();
    }
}

/// Whether GOAWAY says that the request was not looked at (RFC 9113 section 6.8), so that it can be sent elsewhere. A
/// client that hears it with a request in hand that is not on its way yet may be found there: hyper's confirms what it
/// heard ahead of the request.
fn was_not_looked_at(error: &hyper::Error) -> bool {
    let error = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost() {
    let mut server = join("127.0.0.1:0").await;
    let address = server.address;
    let load = Load::on(address);
    load.go_on().await;
    let (mut seen, answers) = (0, Arc::clone(&load.answers));
    for _ in 0..TAKEOVERS {
        let next = join(&address.to_string()).await;
        load.go_on().await;
        let last = std::mem::replace(&mut server, next);
        let probe = last.probe.clone();
        assert_eq!(last.stop().await.unwrap().cut, 0);
        seen += probe.seen().len();
    }
    load.go_on().await;
    load.end().await;
    seen += server.probe.seen().len();
    assert_eq!(seen, answers.load(Ordering::Relaxed), "what was looked at was answered");
}

#[tokio::test]
async fn an_address_is_shared_only_by_those_who_all_ask_for_it() {
    let (one, other) = (join("127.0.0.1:0").await, Server::start().await);
    Listener::bind(&ListenerConfig::new(one.address.to_string())).await.unwrap_err();
    let mut config = ListenerConfig::new(other.address.to_string());
    config.reuse_port = true;
    Listener::bind(&config).await.unwrap_err();
}

/// As long as the socket completes what has begun, what begins then is not heard; after that it is refused.
#[tokio::test]
async fn without_another_listener_connections_are_refused_in_the_end() {
    let server = join("127.0.0.1:0").await;
    let address = server.address;
    assert_eq!(server.stop().await.unwrap(), Drained::default());
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
