//! Calls at a steady rate, whatever becomes of those before: an open loop, as callers are who do not know of each other.
//!
//! Connections are used again, as clients' are, so that what is measured is calls.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

use crate::file::File;

/// How long a caller waits for all of an answer: beyond anything that the gateway does.
const PATIENCE: Duration = Duration::from_mins(1);

type Failure = Box<dyn Error + Send + Sync>;

/// What is to be driven.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) gateway: SocketAddr,
    /// Calls a second.
    pub(crate) rate: u32,
    pub(crate) began: Instant,
}

/// A call that was made. Times are since the drill began.
#[derive(Debug)]
pub(crate) struct Call {
    /// When it was to be made.
    pub(crate) due: Duration,
    /// When it was.
    pub(crate) at: Duration,
    /// Until all of its answer was there.
    pub(crate) took: Duration,
    /// What was wrong, if anything was.
    pub(crate) failure: Option<String>,
}

/// Connections that are not in use.
type Idle = Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>;

impl Load {
    /// Makes calls until it is over, and waits for the last answer.
    pub(crate) async fn drive(self, is_over: Arc<AtomicBool>) -> Vec<Call> {
        let idle = Idle::default();
        let mut calls = JoinSet::new();
        for number in 0.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let due = Duration::from_secs(1) * number / self.rate;
            sleep_until(self.began + due).await;
            calls.spawn(self.call(number as usize, due, Arc::clone(&idle)));
        }
        calls.join_all().await
    }

    async fn call(self, number: usize, due: Duration, idle: Idle) -> Call {
        let at = self.began.elapsed();
        let failure = match timeout(PATIENCE, exchange(self.gateway, number, &idle)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no end of the answer".to_owned()),
        };
        Call { due, at, took: self.began.elapsed().saturating_sub(at), failure }
    }
}

async fn exchange(gateway: SocketAddr, number: usize, idle: &Idle) -> Result<(), Failure> {
    let mut sender = connection(gateway, idle).await?;
    let call =
        format!(r#"{{"model":"{}","messages":[{{"role":"user","content":"How is it?"}}]}}"#, File::model(number));
    let request = Request::post("/v1/chat/completions")
        .header(header::HOST, "gateway")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(call))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    idle.lock().push(sender);
    let text = String::from_utf8_lossy(&body);
    if head.status == StatusCode::OK && text.contains("All is well.") {
        return Ok(());
    }
    Err(format!("{}: {text}", head.status).into())
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
