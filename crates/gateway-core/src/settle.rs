//! Step 8: every call is accounted for once, however it ends.
//!
//! A [`Settlement`] is made when a call is accepted and travels with it, at the end inside the answer's body. Dropping
//! it settles the call: an answer that was sent to its end, one that broke off, and a caller who left while the upstream
//! was still silent all come here, and none of them can come twice.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gateway_call::{AttemptRecord, CallRecord, Endpoint, Event, ModelName, Observer, Outcome, RequestId};
use http::StatusCode;
use tokio::time::Instant;

/// The status of a call whose caller left before its answer was complete, as nginx writes it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What is known of a call so far, and the duty to report it.
pub(crate) struct Settlement {
    observer: Arc<dyn Observer>,
    request_id: RequestId,
    path: &'static str,
    endpoint: Option<Endpoint>,
    started: Instant,
    waited: Duration,
    overhead: Option<Duration>,
    first_byte: Option<Duration>,
    key: Option<Arc<str>>,
    model: Option<ModelName>,
    tags: Vec<(String, String)>,
    attempts: Vec<AttemptRecord>,
    attempt_started: Instant,
    status: Option<StatusCode>,
    error: Option<&'static str>,
    stream: bool,
    bytes_out: u64,
}

impl Settlement {
    /// The account of a request that has just arrived.
    pub(crate) fn open(
        observer: Arc<dyn Observer>,
        request_id: RequestId,
        path: &'static str,
        started: Instant,
    ) -> Self {
        Self {
            observer,
            request_id,
            path,
            endpoint: None,
            started,
            waited: Duration::ZERO,
            overhead: None,
            first_byte: None,
            key: None,
            model: None,
            tags: Vec::new(),
            attempts: Vec::new(),
            attempt_started: started,
            status: None,
            error: None,
            stream: false,
            bytes_out: 0,
        }
    }

    /// When the request's head arrived.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The request's identifier.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The attempts so far.
    pub(crate) fn attempts(&self) -> &[AttemptRecord] {
        &self.attempts
    }

    /// Notes the endpoint.
    pub(crate) fn note_endpoint(&mut self, endpoint: Endpoint) {
        self.endpoint = Some(endpoint);
    }

    /// Notes the caller's key.
    pub(crate) fn note_key(&mut self, name: Arc<str>) {
        self.key = Some(name);
    }

    /// Notes what was asked for; only names that the configuration knows may come here.
    pub(crate) fn note_model(&mut self, model: ModelName, tags: Vec<(String, String)>) {
        self.model = Some(model);
        self.tags = tags;
    }

    /// Notes that an attempt begins. Until more is known of it, it counts as cancelled, which is what it is if the call
    /// is dropped now.
    pub(crate) fn begin_attempt(&mut self, model: ModelName, provider: Arc<str>, upstream_model: ModelName) {
        self.attempt_started = Instant::now();
        self.attempts.push(AttemptRecord {
            model,
            provider,
            upstream_model,
            outcome: Outcome::Cancelled,
            status: None,
            elapsed: Duration::ZERO,
        });
    }

    /// Notes the status of the current attempt's answer.
    pub(crate) fn note_upstream_status(&mut self, status: StatusCode) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = Some(status.as_u16());
        }
    }

    /// Notes what came of the current attempt. What began well may end badly, so a later verdict replaces an earlier.
    pub(crate) fn judge_attempt(&mut self, outcome: Outcome) {
        let elapsed = self.attempt_started.elapsed();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.outcome = outcome;
            attempt.elapsed = elapsed;
        }
    }

    /// Notes that the caller left before the answer was complete.
    pub(crate) fn note_caller_left(&mut self) {
        self.judge_attempt(Outcome::Cancelled);
        self.status = None;
    }

    /// Waits for something that is not in the gateway's hands, and does not count the time as the gateway's.
    pub(crate) async fn wait_for<F: Future>(&mut self, future: F) -> F::Output {
        let began = Instant::now();
        let output = future.await;
        self.waited += began.elapsed();
        output
    }

    /// Notes that the head of the answer is about to leave; returns the time spent in the gateway itself.
    pub(crate) fn note_answer(&mut self, status: StatusCode, stream: bool) -> Duration {
        let overhead = self.started.elapsed().saturating_sub(self.waited);
        self.status = Some(status);
        self.stream = stream;
        self.overhead = Some(overhead);
        overhead
    }

    /// Notes the `code` of the error that the caller gets.
    pub(crate) fn note_error(&mut self, code: Option<&'static str>) {
        self.error = code;
    }

    /// Notes bytes of the answer's body that were handed to the connection.
    pub(crate) fn note_bytes(&mut self, count: usize) {
        self.first_byte.get_or_insert_with(|| self.started.elapsed());
        self.bytes_out += count as u64;
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        self.observer.on_event(&Event::Settled(&CallRecord {
            request_id: &self.request_id,
            path: self.path,
            endpoint: self.endpoint,
            key: self.key.as_deref(),
            model: self.model.as_ref().map(ModelName::as_str),
            status: self.status.map_or(CLIENT_CLOSED_REQUEST, |status| status.as_u16()),
            error: self.error,
            stream: self.stream,
            attempts: &self.attempts,
            tags: &self.tags,
            duration,
            first_byte: self.first_byte,
            overhead: self.overhead.unwrap_or_else(|| duration.saturating_sub(self.waited)),
            bytes_out: self.bytes_out,
        }));
    }
}
