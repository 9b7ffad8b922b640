//! How one batch reaches the receiver (OTLP specification, "OTLP/HTTP Response").
//!
//! Some answers and every broken connection are tried again after a growing wait, until the batch's time is over: a receiver that
//! restarts loses nothing, and one that is gone does not hold what the queue could take.

use std::time::Duration;

use bytes::Bytes;
use gateway_call::Deadline;
use gateway_upstream::{
    BuildError, RequestBody, ResponseBody, SendLimits, Upstream, UpstreamConfig, UpstreamErrorKind,
};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use prost::Message;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use crate::Settings;
use crate::otlp::ExportTraceServiceResponse;
use crate::settings::SecretHeaders;

/// The wait before the second try; each later one is twice as long (`initialBackoff` of the exporters for Java).
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait, also of those that a receiver asks for (`MaxInterval` of the exporters for Go).
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// For name lookup, TCP and TLS.
const CONNECT: Duration = Duration::from_secs(5);

/// More of an answer than this is not read.
const LONGEST_ANSWER: usize = 64 * 1024;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

const CLIENT: HeaderValue = HeaderValue::from_static(concat!("llm-gateway-traces/", env!("CARGO_PKG_VERSION")));

/// The way to one receiver.
#[derive(Debug)]
pub(crate) struct Delivery {
    upstream: Upstream,
    target: PathAndQuery,
    headers: SecretHeaders,
    /// How long one request may take.
    timeout: Duration,
    /// How long a batch is tried for.
    patience: Duration,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum DeliveryError {
    /// The receiver said no.
    #[error("the receiver answered {status}")]
    Refused {
        status: StatusCode,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// There was no answer. The client calls whom it talks to an upstream.
    #[error("{0}")]
    Unanswered(UpstreamErrorKind),
}

impl Delivery {
    /// The way that the settings describe.
    pub(crate) fn new(settings: Settings) -> Result<Self, BuildError> {
        let Settings { origin, target, headers, timeout, patience, extra_roots, .. } = settings;
        // One batch is sent at a time.
        let upstream = Upstream::new(UpstreamConfig { max_idle: 1, extra_roots, ..UpstreamConfig::new(origin) })?;
        Ok(Self { upstream, target, headers, timeout, patience })
    }

    /// Sends a batch until it is taken, refused for good, or its time is over. Says how many of its spans were not wanted.
    pub(crate) async fn deliver(&self, batch: &Bytes) -> Result<u64, DeliveryError> {
        let mut tries = Tries::until(Instant::now() + self.patience);
        loop {
            match self.post(batch.clone(), tries.end).await {
                Ok(rejected) => return Ok(rejected),
                Err(error) => tries.wait_after(error).await?,
            }
        }
    }

    async fn post(&self, batch: Bytes, end: Instant) -> Result<u64, DeliveryError> {
        let mut request = Request::new(RequestBody::from(batch));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone().into();
        let headers = request.headers_mut();
        self.headers.write(headers);
        headers.insert(CONTENT_TYPE, PROTOBUF);
        headers.entry(USER_AGENT).or_insert(CLIENT);
        let now = Instant::now();
        let deadline = Deadline::after(now.into_std(), self.timeout.min(end.saturating_duration_since(now)));
        let limits = SendLimits { connect: CONNECT, headers: self.timeout, deadline };
        let response = self.upstream.send(request, limits).await;
        let (head, body) = response.map_err(|error| DeliveryError::Unanswered(error.kind()))?.into_parts();
        // Read whole whatever it says, so that the connection can be used again.
        let answer = read(body).await;
        if head.status.is_success() {
            return Ok(answer.as_deref().map_or(0, rejected_spans));
        }
        Err(DeliveryError::Refused { status: head.status, retry_after: retry_after(&head.headers) })
    }
}

/// The tries of one batch.
struct Tries {
    /// None begins after that.
    end: Instant,
    failed: u32,
}

impl Tries {
    fn until(end: Instant) -> Self {
        Self { end, failed: 0 }
    }

    /// Waits until it is time for the next try after one that failed like this. The error comes back if there is to be no other.
    async fn wait_after(&mut self, error: DeliveryError) -> Result<(), DeliveryError> {
        let again = error.wait(self.failed, fastrand::f64()).map(|wait| Instant::now() + wait);
        sleep_until(again.filter(|again| *again < self.end).ok_or(error)?).await;
        self.failed += 1;
        Ok(())
    }
}

/// None if it is too long or breaks off. The status says already what became of the batch.
async fn read(body: ResponseBody) -> Option<Bytes> {
    Limited::new(body, LONGEST_ANSWER).collect().await.ok().map(http_body_util::Collected::to_bytes)
}

/// How many spans the receiver found fault with; those are never sent again.
fn rejected_spans(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

/// In seconds, the one form that the specification has.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl DeliveryError {
    /// How long to wait before the next try, after so many waits; none if there is to be no other. `random` is from 0 to 1.
    ///
    /// A receiver can ask for a longer wait than the backoff, up to [`LONGEST_WAIT`], and never for a shorter: one that asks for none
    /// at all, again and again, would keep the gateway busy.
    fn wait(self, waits: u32, random: f64) -> Option<Duration> {
        let backoff = backoff(waits, random);
        match self {
            Self::Refused { status, .. } if !is_retryable(status) => None,
            Self::Refused { retry_after: Some(asked), .. } => Some(asked.min(LONGEST_WAIT).max(backoff)),
            // Whoever speaks no HTTP will not learn it, and no request body fails that is known whole.
            Self::Unanswered(
                UpstreamErrorKind::Protocol
                | UpstreamErrorKind::RequestBody
                | UpstreamErrorKind::UnsupportedEncoding
                | UpstreamErrorKind::DecodeTooLarge,
            ) => None,
            Self::Refused { .. } | Self::Unanswered(_) => Some(backoff),
        }
    }
}

/// The four statuses of the specification ("Retryable Response Codes").
fn is_retryable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Half of it by chance, so that gateways that lost a receiver together do not come back together.
fn backoff(waits: u32, random: f64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(waits)).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after: Option<u64>) -> DeliveryError {
        let status = StatusCode::from_u16(status).unwrap();
        DeliveryError::Refused { status, retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn what_is_tried_again_and_when() {
        use UpstreamErrorKind as Kind;
        let seconds = Duration::from_secs;
        for (error, expected) in [
            (refused(429, None), Some(seconds(1))),
            (refused(429, Some(0)), Some(seconds(1))),
            (refused(503, Some(7)), Some(seconds(7))),
            (refused(503, Some(86_400)), Some(LONGEST_WAIT)),
            (refused(502, None), Some(seconds(1))),
            (refused(504, None), Some(seconds(1))),
            (refused(400, Some(1)), None),
            (refused(401, None), None),
            (refused(413, None), None),
            (refused(500, Some(1)), None),
            (refused(307, None), None),
            (DeliveryError::Unanswered(Kind::Connect), Some(seconds(1))),
            (DeliveryError::Unanswered(Kind::Reset), Some(seconds(1))),
            (DeliveryError::Unanswered(Kind::HeadersTimeout), Some(seconds(1))),
            (DeliveryError::Unanswered(Kind::Protocol), None),
        ] {
            assert_eq!(error.wait(0, 1.0), expected, "{error:?}");
        }
    }

    /// How often something is tried that always fails like this, within so many seconds, and how long that takes.
    async fn tried(error: DeliveryError, patience: u64) -> (u32, Duration) {
        let began = Instant::now();
        let mut tries = Tries::until(began + Duration::from_secs(patience));
        while tries.wait_after(error).await.is_ok() {}
        (tries.failed + 1, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_without_a_pause() {
        for asked in [None, Some(0), Some(1)] {
            let (tries, took) = tried(refused(503, asked), 60).await;
            // Each wait is twice as long as the one before, so that five to seven of them fit.
            assert!((5..=8).contains(&tries), "{tries} tries for {asked:?}");
            assert!(took < Duration::from_mins(1), "{took:?}");
        }
        assert_eq!(tried(refused(503, Some(20)), 60).await.0, 3);
        assert_eq!(
            tried(refused(503, Some(20)), 10).await,
            (1, Duration::ZERO),
            "a wait that ends too late is of no use"
        );
        assert_eq!(tried(refused(400, None), 60).await, (1, Duration::ZERO));
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_are_never_none() {
        let longest: Vec<_> = (0..8).map(|waits| backoff(waits, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(backoff(0, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(u32::MAX, 0.0), LONGEST_WAIT / 2);
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_nothing_else_is() {
        let read = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
        };
        assert_eq!(read("3"), Some(Duration::from_secs(3)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn an_answer_tells_what_was_not_wanted() {
        // partial_success { rejected_spans: 300, error_message: "no" }
        assert_eq!(rejected_spans(&[0x0a, 7, 0x08, 0xac, 0x02, 0x12, 2, b'n', b'o']), 300);
        assert_eq!(rejected_spans(b""), 0);
        assert_eq!(rejected_spans(b"<html>"), 0);
    }
}
