//! One request on one connection, up to the head of its answer.
//!
//! # What may be sent again
//!
//! A pooled connection can die while a request is on its way to it; the server's idle timeout and our reuse simply
//! cross. The failure says nothing about the upstream, so it should not count as an attempt. How far the request got
//! decides what may be done:
//!
//! * Nothing of it was written, so sending it elsewhere is no repetition at all.
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
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, iter};

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use crate::alarm::{Alarm, within};
use crate::connection::{Fault, H1, H2Stream, MAX_HEADERS};
use crate::request::Upload;
use crate::{RequestBody, SourceFailed, UpstreamError, UpstreamErrorKind};

/// How an exchange failed, told by what the upstream can have seen of the request.
pub(crate) enum Failure {
    /// Nothing; the request is as it was.
    Unsent(UpstreamError),
    /// Something perhaps, but the peer says that it did not process it.
    Unprocessed(UpstreamError),
    /// Something perhaps, and the connection closed without a byte in answer.
    Unanswered(UpstreamError),
    /// Enough to make this failure final.
    Final(UpstreamError),
}

/// The wait for the head of an answer.
pub(crate) struct Patience {
    /// When it began.
    pub(crate) since: Instant,
    pub(crate) headers: Duration,
    pub(crate) deadline: Instant,
    pub(crate) upload: Option<Arc<Upload>>,
}

impl Patience {
    /// What to do when it ends: wait until another moment, or give up.
    fn renew(&self, now: Instant) -> Result<Instant, UpstreamErrorKind> {
        if now >= self.deadline {
            return Err(UpstreamErrorKind::TotalTimeout);
        }
        let Some(upload) = &self.upload else { return Err(UpstreamErrorKind::HeadersTimeout) };
        // The time for the head starts when the request was sent whole.
        let until = within(upload.ended().unwrap_or(now), self.headers, self.deadline);
        if until > now { Ok(until) } else { Err(UpstreamErrorKind::HeadersTimeout) }
    }

    /// When it ends, as far as can be told before the request was sent.
    fn end(&self) -> Instant {
        within(self.since, self.headers, self.deadline)
    }

    /// Waits until it is exhausted; `end` is when that is to be looked into.
    fn poll_exhausted(&self, end: &mut Instant, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<UpstreamErrorKind> {
        loop {
            ready!(alarm.poll_until(*end, Instant::now(), cx));
            match self.renew(Instant::now()) {
                Ok(until) => *end = until,
                Err(kind) => return Poll::Ready(kind),
            }
        }
    }
}

/// Sends a request on a connection of its own, and waits for the head of the answer.
pub(crate) async fn exchange_h1(
    connection: &mut H1,
    request: &mut Request<RequestBody>,
    host: &HeaderValue,
    patience: &Patience,
) -> Result<Response<()>, Failure> {
    connection.begin(request, host);
    let mut end = patience.end();
    let answered = poll_fn(|cx| match connection.poll_head(cx) {
        Poll::Ready(answered) => Poll::Ready(Ok(answered)),
        Poll::Pending => patience.poll_exhausted(&mut end, &mut connection.alarm, cx).map(Err),
    });
    match answered.await {
        Ok(Ok(head)) => Ok(head),
        Ok(Err(fault)) => {
            let is_untouched = connection.is_untouched();
            if let Some(body) = connection.give_back() {
                *request.body_mut() = body;
            }
            Err(judge_h1(fault, is_untouched, connection.was_heard(), patience.upload.as_deref()))
        }
        Err(kind) => Err(Failure::Final(UpstreamError::new(kind))),
    }
}

fn judge_h1(fault: Fault, is_untouched: bool, was_heard: bool, upload: Option<&Upload>) -> Failure {
    if let Some(failure) = failure_of(upload) {
        return failure;
    }
    match fault {
        Fault::Source => Failure::Final(UpstreamError::with_source(UpstreamErrorKind::RequestBody, SourceFailed)),
        Fault::Malformed(error) => Failure::Final(UpstreamError::with_source(UpstreamErrorKind::Protocol, error)),
        Fault::Broken(error) => {
            let is_timeout = error.kind() == io::ErrorKind::TimedOut;
            let error = UpstreamError::with_source(UpstreamErrorKind::Reset, error);
            match () {
                () if is_untouched => Failure::Unsent(error),
                () if was_heard || is_timeout => Failure::Final(error),
                () => Failure::Unanswered(error),
            }
        }
    }
}

/// The failure of an exchange whose body has failed.
fn failure_of(upload: Option<&Upload>) -> Option<Failure> {
    let reason = upload.and_then(Upload::take_failure)?;
    Some(Failure::Final(UpstreamError::with_source(UpstreamErrorKind::RequestBody, reason)))
}

/// Sends a request, made ready for it, on a stream of a shared connection, and waits for the head of the answer. A body that streams
/// is put back into `body` if the peer has seen nothing of it.
pub(crate) async fn exchange_h2(
    stream: &mut H2Stream,
    request: Request<RequestBody>,
    body: &mut RequestBody,
    patience: &Patience,
) -> Result<Response<()>, Failure> {
    let heard_before = stream.hearing().received();
    let mut sending = pin!(stream.sender.try_send_request(request));
    let mut end = patience.end();
    let answered = poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(Ok(answered)),
        Poll::Pending => patience.poll_exhausted(&mut end, &mut stream.alarm, cx).map(Err),
    });
    match answered.await {
        // hyper limits the headers of HTTP/2 only by size, and nobody asked for another protocol.
        Ok(Ok(response))
            if response.status() == StatusCode::SWITCHING_PROTOCOLS || response.headers().len() > MAX_HEADERS =>
        {
            Err(Failure::Final(UpstreamError::new(UpstreamErrorKind::Protocol)))
        }
        Ok(Ok(response)) => {
            let (head, incoming) = response.into_parts();
            stream.answer = Some(incoming);
            Ok(Response::from_parts(head, ()))
        }
        Ok(Err(mut failed)) => {
            let returned = failed.take_message().map(Request::into_body);
            let is_untouched = returned.is_some();
            if let Some(returned) = returned {
                *body = returned;
            }
            let was_heard = stream.hearing().received() != heard_before;
            Err(judge_h2(failed, is_untouched, was_heard, patience.upload.as_deref()))
        }
        Err(kind) => Err(Failure::Final(UpstreamError::new(kind))),
    }
}

fn judge_h2(
    failed: TrySendError<Request<RequestBody>>,
    is_untouched: bool,
    was_heard: bool,
    upload: Option<&Upload>,
) -> Failure {
    if let Some(failure) = failure_of(upload) {
        return failure;
    }
    let error = failed.into_error();
    if is_untouched {
        return Failure::Unsent(UpstreamError::with_source(UpstreamErrorKind::Reset, error));
    }
    let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    if h2.is_some_and(is_unprocessed) {
        return Failure::Unprocessed(UpstreamError::with_source(UpstreamErrorKind::Reset, error));
    }
    if error.is_parse() || h2.is_some_and(h2::Error::is_library) {
        return Failure::Final(UpstreamError::with_source(UpstreamErrorKind::Protocol, error));
    }
    let only_closed = !was_heard && !is_timeout(&error) && !h2.is_some_and(h2::Error::is_reset);
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
