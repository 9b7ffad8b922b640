//! The bare proxy: the least that a gateway made with hyper does. It is the yardstick for what the gateway adds.
//!
//! It collects the body, checks that it is JSON, swaps the model, sends it on over a connection that it keeps, and passes the answer
//! through untouched. It knows no key, no limit, no retry, and writes no log.

mod pool;

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context as _, Result, anyhow};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task;

use crate::exchange::Kind;
use crate::serving;
use pool::{Passed, Pool};

type Answer = Response<Either<Passed, Full<Bytes>>>;

/// What is read of a call. The rest is checked for being JSON and skipped.
#[derive(Deserialize)]
struct Call<'a> {
    model: &'a str,
}

/// Serves until the process ends, before an upstream at this address.
pub(crate) fn run(upstream: SocketAddr) -> Result<()> {
    serving::run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        serving::announce(listener.local_addr()?)?;
        let pool = Rc::new(Pool::new(upstream));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let pool = Rc::clone(&pool);
            let service = service_fn(move |request| {
                let pool = Rc::clone(&pool);
                async move { Ok::<_, std::convert::Infallible>(answer(request, &pool).await) }
            });
            task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn answer(request: Request<Incoming>, pool: &Rc<Pool>) -> Answer {
    forward(request, pool).await.unwrap_or_else(|problem| {
        let mut answer = Response::new(Either::Right(Full::from(format!("{problem:#}"))));
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        answer
    })
}

async fn forward(request: Request<Incoming>, pool: &Rc<Pool>) -> Result<Answer> {
    let (mut head, body) = request.into_parts();
    let body = swapped(&body.collect().await?.to_bytes())?;
    // hyper says anew how long the body is.
    head.headers.remove(hyper::header::CONTENT_LENGTH);
    let request = Request::from_parts(head, Full::new(body));
    Ok(pool.send(request).await?.map(Either::Left))
}

/// The body with the upstream's name for the model.
fn swapped(body: &Bytes) -> Result<Bytes> {
    let call: Call<'_> = serde_json::from_slice(body).context("not a call")?;
    let kind = Kind::of_model(call.model.as_bytes()).ok_or_else(|| anyhow!("no such model"))?;
    // A name without escapes is borrowed from the body, and so lies inside it.
    let begin = call.model.as_ptr() as usize - body.as_ptr() as usize;
    let name = kind.upstream_model();
    let mut swapped = BytesMut::with_capacity(body.len() - call.model.len() + name.len());
    swapped.extend_from_slice(&body[..begin]);
    swapped.extend_from_slice(name.as_bytes());
    swapped.extend_from_slice(&body[begin + call.model.len()..]);
    Ok(swapped.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_is_swapped() {
        let body = Bytes::from_static(br#"{"a": 1.0, "model": "bench-plain", "b":["\u00e9"]}"#);
        assert_eq!(swapped(&body).unwrap(), br#"{"a": 1.0, "model": "upstream-plain", "b":["\u00e9"]}"#[..]);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert!(swapped(&Bytes::from_static(br#"{"model":"bench-plain","b":[1,]}"#)).is_err());
    }
}
