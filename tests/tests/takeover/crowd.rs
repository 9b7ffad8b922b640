//! Callers who never stop calling, each in a way of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_testing::Script;
use gateway_tests::clock::now;
use gateway_tests::site::Site;
use gateway_tests::stage::{CALL, CHAT, authorized, with_header};
use gateway_tests::stream::{STREAMED_CALL, finish, text};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The events of a stream, and how far they are apart.
const EVENTS: usize = 10;
const PACE: Duration = Duration::from_millis(40);

/// How a caller calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A connection for each call.
    Fresh,
    /// One connection, for as long as the server keeps it open.
    Kept,
    /// Streams, a connection for each.
    Streamed,
}

/// What callers of one manner have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) calls: usize,
    pub(crate) longest: Duration,
    pub(crate) failures: Vec<String>,
}

/// Callers who go on until they are told to stop.
pub(crate) struct Crowd {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    seen: [(Manner, Arc<Mutex<Seen>>); 3],
}

/// Lets the upstream answer every call, streamed or not.
pub(crate) fn prepare(site: &Site) {
    site.upstream.otherwise(|request| {
        if !request.body.windows(8).any(|part| part == b"\"stream\"") {
            return Script::json(200, "{}");
        }
        let numbered = |number: usize| text(&number.to_string());
        let stream = (0..EVENTS).fold(Script::event_stream(), |script, it| script.event(&numbered(it)).pause(PACE));
        stream.event(&finish()).event("[DONE]").end_chunks()
    });
}

impl Crowd {
    /// So many callers of each manner begin to call.
    pub(crate) fn gather(address: SocketAddr, each: usize) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let seen = [Manner::Fresh, Manner::Kept, Manner::Streamed].map(|manner| (manner, Arc::default()));
        for (manner, seen) in &seen {
            for _ in 0..each {
                let caller = Caller { address, manner: *manner, seen: Arc::clone(seen), connection: None };
                tasks.spawn(caller.call_until(stop.clone()));
            }
        }
        Self { stop, tasks, seen }
    }

    /// How many calls have been answered so far.
    pub(crate) fn calls(&self) -> usize {
        self.seen.iter().map(|(_, seen)| seen.lock().calls).sum()
    }

    /// Stops everybody and gives what they have seen.
    pub(crate) async fn disperse(mut self) -> Vec<(Manner, Seen)> {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
        self.seen.map(|(manner, seen)| (manner, std::mem::take(&mut *seen.lock()))).into()
    }
}

struct Caller {
    address: SocketAddr,
    manner: Manner,
    seen: Arc<Mutex<Seen>>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Caller {
    async fn call_until(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let began = now();
            let called = self.call().await;
            let mut seen = self.seen.lock();
            seen.calls += 1;
            seen.longest = seen.longest.max(began.elapsed());
            if let Err(failure) = called {
                seen.failures.push(failure);
                self.connection = None;
            }
        }
    }

    async fn call(&mut self) -> Result<(), String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address).await?,
        };
        let body = if self.manner == Manner::Streamed { STREAMED_CALL } else { CALL };
        let request = with_header(authorized("POST", CHAT, body), "host", &self.address.to_string());
        // Whatever goes wrong here is a call that has failed; nothing is tried again.
        connection.ready().await.map_err(|error| format!("the kept connection is closed: {error}"))?;
        let answer = connection.send_request(request).await.map_err(|error| format!("no answer: {error:?}"))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| format!("the answer broke off: {error:?}"))?.to_bytes();
        if head.status != 200 {
            return Err(format!("{}: {}", head.status, String::from_utf8_lossy(&body)));
        }
        if self.manner == Manner::Streamed {
            let seen = String::from_utf8_lossy(&body);
            let is_whole = seen.ends_with("data: [DONE]\n\n") && seen.matches("\"content\"").count() >= EVENTS;
            return if is_whole { Ok(()) } else { Err(format!("the stream is not whole: {seen}")) };
        }
        let is_kept = self.manner == Manner::Kept && head.headers.get("connection").is_none_or(|it| it != "close");
        self.connection = is_kept.then_some(connection);
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Prints what was seen, and fails if any call has failed.
pub(crate) fn conclude(title: &str, seen: &[(Manner, Seen)]) {
    println!("{title}\n| callers  |  calls | failed | longest |\n|----------|-------:|-------:|--------:|");
    for (manner, Seen { calls, longest, failures }) in seen {
        println!(
            "| {:<8} | {calls:>6} | {:>6} | {:>4} ms |",
            format!("{manner:?}"),
            failures.len(),
            longest.as_millis()
        );
    }
    for (manner, seen) in seen {
        assert!(seen.failures.is_empty(), "{manner:?}: {:#?}", seen.failures);
        assert!(seen.calls > 0, "{manner:?}");
    }
}

/// Passes once the crowd has got so many more answers.
pub(crate) async fn more_calls(crowd: &Crowd, more: usize) {
    let wanted = crowd.calls() + more;
    let enough = async || (crowd.calls() >= wanted).then_some(());
    gateway_tests::patience::until("more calls", enough).await;
}
