//! Calls at a fixed rate, whatever becomes of those before: an open loop, as callers are who do not know of each other.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::upstreams::{CONTENT, EVENTS};

/// How long a caller waits for all of an answer. Beyond the gateway's own limit, so that it is never the caller who ends it.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is to be driven.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) gateway: SocketAddr,
    /// Calls a second.
    pub(crate) rate: u32,
    pub(crate) lasts: Duration,
}

/// A call that was made.
#[derive(Debug)]
pub(crate) struct Call {
    /// When it was made, since the drill began.
    pub(crate) at: Duration,
    /// Until all of its answer was there.
    pub(crate) took: Duration,
    /// What its caller saw go wrong.
    pub(crate) failure: Option<String>,
}

impl Load {
    /// Makes all calls, and waits for the last answer.
    pub(crate) async fn drive(self, began: Instant) -> Vec<Call> {
        let mut calls = JoinSet::new();
        for number in 0.. {
            let due = Duration::from_secs(1) * number / self.rate;
            if due >= self.lasts {
                break;
            }
            sleep_until(began + due).await;
            calls.spawn(self.call(number, began));
        }
        calls.join_all().await
    }

    async fn call(self, number: u32, began: Instant) -> Call {
        let at = began.elapsed();
        let result = timeout(PATIENCE, exchange(self.gateway, number)).await;
        let failure = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no end of the answer".to_owned()),
        };
        Call { at, took: began.elapsed().saturating_sub(at), failure }
    }
}

/// Makes a call over a connection of its own; every second is for the other model, every third is streamed.
async fn exchange(gateway: SocketAddr, number: u32) -> Result<(), Box<dyn Error + Send + Sync>> {
    let model = if number.is_multiple_of(2) { "large" } else { "small" };
    let is_streamed = number.is_multiple_of(3);
    let body = format!(
        r#"{{"model":"{model}","stream":{is_streamed},"messages":[{{"role":"user","content":"How is it?"}}]}}"#
    );
    let request = Request::post("/v1/chat/completions")
        .header(header::HOST, "gateway")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(body))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(gateway).await?)).await?;
    // It ends with the sender.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
    let is_whole = if is_streamed {
        body.matches(CONTENT).count() == EVENTS && body.ends_with("data: [DONE]\n\n")
    } else {
        body.contains(CONTENT)
    };
    if head.status != 200 || !is_whole {
        return Err(format!("{}: {body}", head.status).into());
    }
    Ok(())
}
