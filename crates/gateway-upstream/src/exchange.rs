//! One request on one connection, up to the head of its answer.
//!
//! # What may be sent again
//!
//! A pooled connection can die while a request is on its way to it; the server's idle timeout and our reuse simply
//! cross. The failure says nothing about the upstream, so it should not count as an attempt. How far the request got
//! decides what may be done:
//!
//! * hyper hands the request back: nothing of it was written, so sending it elsewhere is no repetition at all.
//! * An HTTP/2 peer says that it did not process the stream, by `REFUSED_STREAM` or by a `GOAWAY` with a lower last
//!   stream: "clients MAY automatically retry them, even those with non-idempotent methods" (RFC 9113, section 8.7).
//! * A *reused* connection closes without a single byte in answer. RFC 9112, section 9.3.1, has the client open a new
//!   connection and send again; RFC 9110, section 9.2.2, asks for "some means to detect that the original request was
//!   never applied" unless the method is idempotent, and a server that closes an idle connection has not read what
//!   crosses with its close. A server that died over the request looks the same, so it is repeated once only, and on a
//!   new connection, where there is no such doubt. A body that streams is not repeated at all.
//!
//! Everything else is an error for the policy above to judge: a new connection that fails, a connection that had begun
//! to answer, and above all a timeout of any kind, where the request may well be worked on.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, iter};

use futures_util::future::Either;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use crate::alarm::{Alarm, within};
use crate::connection::{Link, MAX_HEADERS};
use crate::request::Upload;
use crate::{RequestBody, UpstreamError, UpstreamErrorKind};

/// How an exchange failed, told by what the upstream can have seen of the request.
pub(crate) enum Failure {
    /// Nothing; here it is back.
    Unsent(Box<Request<RequestBody>>, UpstreamError),
    /// Something perhaps, but the peer says that it did not process it.
    Unprocessed(UpstreamError),
    /// Something perhaps, and the connection closed without a byte in answer.
    Unanswered(UpstreamError),
    /// Enough to make this failure final.
    Final(UpstreamError),
}

/// The wait for the head of an answer.
pub(crate) struct Patience {
    pub(crate) headers: Duration,
    pub(crate) deadline: Instant,
    pub(crate) upload: Option<Arc<Upload>>,
}

impl Patience {
    /// What to do when the alarm rings: wait until another moment, or give up.
    fn renew(&self, now: Instant) -> Result<Instant, UpstreamErrorKind> {
        if now >= self.deadline {
            return Err(UpstreamErrorKind::TotalTimeout);
        }
        let Some(upload) = &self.upload else { return Err(UpstreamErrorKind::HeadersTimeout) };
        // The time for the head starts when the request was sent whole.
        let until = within(upload.ended().unwrap_or(now), self.headers, self.deadline);
        if until > now { Ok(until) } else { Err(UpstreamErrorKind::HeadersTimeout) }
    }

    fn poll_exhausted(&self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<UpstreamErrorKind> {
        loop {
            ready!(alarm.poll_ring(cx));
            match self.renew(Instant::now()) {
                Ok(until) => alarm.set(until),
                Err(kind) => return Poll::Ready(kind),
            }
        }
    }
}

/// Sends a request that was made ready for this connection, and waits for the head of the answer.
pub(crate) async fn exchange(
    link: &mut Link,
    request: Request<RequestBody>,
    patience: &Patience,
) -> Result<Response<Incoming>, Failure> {
    let heard_before = link.hearing().received();
    if let Some(upload) = &patience.upload {
        link.send_behind(upload);
    }
    let sending = match link {
        Link::H1(connection) => Either::Left(connection.sender.try_send_request(request)),
        Link::H2(stream) => Either::Right(stream.sender.try_send_request(request)),
    };
    link.alarm().set(within(Instant::now(), patience.headers, patience.deadline));
    match await_head(sending, link, patience).await {
        Ok(Ok(response)) => check_head(response).map_err(Failure::Final),
        Ok(Err(failed)) => {
            let unheard = link.hearing().received() == heard_before;
            Err(judge(failed, unheard, patience.upload.as_deref()))
        }
        Err(kind) => Err(Failure::Final(UpstreamError::new(kind))),
    }
}

async fn await_head<F: Future>(
    sending: F,
    link: &mut Link,
    patience: &Patience,
) -> Result<F::Output, UpstreamErrorKind> {
    let mut sending = pin!(sending);
    poll_fn(|cx| match link.take(cx, |cx| sending.as_mut().poll(cx)) {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending => patience.poll_exhausted(link.alarm(), cx).map(Err),
    })
    .await
}

fn check_head(response: Response<Incoming>) -> Result<Response<Incoming>, UpstreamError> {
    // Nobody asked for another protocol. hyper limits the headers of HTTP/1 by number, those of HTTP/2 only by size.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS || response.headers().len() > MAX_HEADERS {
        return Err(UpstreamError::new(UpstreamErrorKind::Protocol));
    }
    Ok(response)
}

fn judge(mut failed: TrySendError<Request<RequestBody>>, unheard: bool, upload: Option<&Upload>) -> Failure {
    let returned = failed.take_message();
    let error = failed.into_error();
    if let Some(reason) = upload.and_then(Upload::take_failure) {
        return Failure::Final(UpstreamError::with_source(UpstreamErrorKind::RequestBody, reason));
    }
    if let Some(request) = returned {
        return Failure::Unsent(Box::new(request), UpstreamError::with_source(UpstreamErrorKind::Reset, error));
    }
    let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    if h2.is_some_and(is_unprocessed) {
        return Failure::Unprocessed(UpstreamError::with_source(UpstreamErrorKind::Reset, error));
    }
    if error.is_parse() || h2.is_some_and(h2::Error::is_library) {
        return Failure::Final(UpstreamError::with_source(UpstreamErrorKind::Protocol, error));
    }
    let only_closed = unheard && !is_timeout(&error) && !h2.is_some_and(h2::Error::is_reset);
    let error = UpstreamError::with_source(UpstreamErrorKind::Reset, error);
    if only_closed { Failure::Unanswered(error) } else { Failure::Final(error) }
}

/// Whether a sign of life failed to come: an HTTP/2 ping's answer, or the acknowledgement of TCP.
fn is_timeout(error: &hyper::Error) -> bool {
    let tcp = iter::successors(error.source(), |error| (*error).source())
        .filter_map(|source| source.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::TimedOut);
    tcp || error.is_timeout()
}

/// h2 reports a peer's `GOAWAY` only for the streams above its last one.
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}
