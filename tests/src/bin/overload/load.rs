//! Calls at their times, whatever becomes of those before: an open loop, as callers are who do not know of each other.
//!
//! Connections are used again, as clients' are, so that what is measured is calls.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::course::{Course, KEYS, Key};

/// How long a caller waits for all of an answer: beyond anything that the gateway does.
const PATIENCE: Duration = Duration::from_mins(1);

const CALL: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"How is it?"}]}"#;

type Failure = Box<dyn Error + Send + Sync>;

/// What is to be driven.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) gateway: SocketAddr,
    pub(crate) course: Course,
}

/// A call that was made. Times are since the drill began.
#[derive(Debug)]
pub(crate) struct Call {
    /// Whose, as an index of [`KEYS`].
    pub(crate) key: usize,
    /// When it was to be made.
    pub(crate) due: Duration,
    /// When it was.
    pub(crate) at: Duration,
    /// Until all of its answer was there.
    pub(crate) took: Duration,
    pub(crate) end: End,
}

/// What its caller got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    /// 503 `overloaded`; whether it said when to come again.
    Refused {
        says_when: bool,
    },
    /// Anything else.
    Failed(String),
}

/// Connections that are not in use.
type Idle = Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>;

impl Load {
    /// Makes all calls, and waits for the last answer.
    pub(crate) async fn drive(self, began: Instant) -> Vec<Call> {
        let idle = Idle::default();
        let mut callers = JoinSet::new();
        for key in 0..KEYS.len() {
            callers.spawn(self.drive_key(key, began, Arc::clone(&idle)));
        }
        callers.join_all().await.into_iter().flatten().collect()
    }

    async fn drive_key(self, key: usize, began: Instant, idle: Idle) -> Vec<Call> {
        let mut calls = JoinSet::new();
        let mut due = self.course.gap(&KEYS[key], &self.course.before) * u32::try_from(key + 1).unwrap_or(1) / 4;
        while due < self.course.lasts() {
            sleep_until(began + due).await;
            calls.spawn(self.call(key, due, began, Arc::clone(&idle)));
            let phase = self.course.phases().into_iter().find(|phase| phase.contains(due));
            due += self.course.gap(&KEYS[key], &phase.unwrap_or(self.course.after));
        }
        calls.join_all().await
    }

    async fn call(self, key: usize, due: Duration, began: Instant, idle: Idle) -> Call {
        let at = began.elapsed();
        let end = match timeout(PATIENCE, exchange(self.gateway, &KEYS[key], &idle)).await {
            Ok(Ok(end)) => end,
            Ok(Err(error)) => End::Failed(error.to_string()),
            Err(_) => End::Failed("no end of the answer".to_owned()),
        };
        Call { key, due, at, took: began.elapsed().saturating_sub(at), end }
    }
}

async fn exchange(gateway: SocketAddr, key: &Key, idle: &Idle) -> Result<End, Failure> {
    let mut sender = connection(gateway, idle).await?;
    let request = Request::post("/v1/chat/completions")
        .header(header::HOST, "gateway")
        .header(header::AUTHORIZATION, format!("Bearer {}", key.secret))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(CALL))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    idle.lock().push(sender);
    let text = String::from_utf8_lossy(&body);
    Ok(match head.status {
        StatusCode::OK if text.contains("All is well.") => End::Answered,
        StatusCode::SERVICE_UNAVAILABLE if text.contains(r#""code":"overloaded""#) => {
            let wait = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            End::Refused { says_when: wait.and_then(|wait| wait.parse().ok()).is_some_and(|wait: u64| wait > 0) }
        }
        status => End::Failed(format!("{status}: {text}")),
    })
}

/// The connection that was used last, which is the least likely to have been closed meanwhile, or else a new one.
async fn connection(gateway: SocketAddr, idle: &Idle) -> Result<SendRequest<Full<Bytes>>, Failure> {
    loop {
        let Some(mut sender) = idle.lock().pop() else { break };
        if sender.ready().await.is_ok() {
            return Ok(sender);
        }
    }
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}
