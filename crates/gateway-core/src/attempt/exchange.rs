//! One attempt: a request is sent, and as much of the answer is read as it takes to know that it is one.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use gateway_call::{Outcome, TimeoutPhase, TraceParent};
use gateway_protocol::{AnswerScan, UpstreamFault, names_usage_question};
use gateway_upstream::{RequestBody, ResponseBody, SendLimits, UpstreamErrorKind};
use http::{HeaderMap, HeaderValue, Request, StatusCode, response};
use tokio::time::Instant;

use super::admission::Admission;
use super::committed::Committed;
use super::events::Opening;
use super::explanation::{self, Explanation};
use super::failure::{self, Failure};
use super::{Sending, events, whole};
use crate::clock::{self, wall_clock};
use crate::headers::{JSON, media_type};
use crate::plan::Aim;
use crate::relay::RawRelay;
use crate::settle::{AnswerHead, Begun, Settlement};
use crate::trace::TRACEPARENT;

/// One attempt at one target.
pub(super) struct Attempt<'a> {
    pub(super) aim: Aim<'a>,
    /// The target's place in its route.
    pub(super) target: usize,
    /// The attempt's number among those of the call.
    pub(super) number: usize,
    trace: Option<TraceParent>,
    pub(super) admission: Admission,
    pub(super) began: Instant,
    /// The head of the answer, once there is one.
    pub(super) answered: Option<AnswerHead>,
    /// How much of the time was the upstream's.
    pub(super) waited: Duration,
    /// Whether the request's body may still be arriving from the caller, whose time is not the upstream's.
    pub(super) is_upload: bool,
    /// Since when the upstream could have shown content: the beginning, or for an upload the head of the answer.
    pub(super) awaited_since: Instant,
    /// Whether the upstream is asked for what the stream takes, though the caller does not ask for it.
    pub(super) asks_usage: bool,
    /// What it seems to find fault with, if that may be being asked.
    resents_asking: Option<Resentment>,
}

/// How an upstream finds fault with being asked for the usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resentment {
    /// It names that.
    Named,
    /// It does not say what it finds fault with.
    Mute,
}

/// An attempt that is over, and what came of it.
pub(super) struct Finished<'a> {
    pub(super) attempt: Attempt<'a>,
    pub(super) result: Result<Opened, Failure>,
}

/// An answer that can be committed to.
pub(super) enum Opened {
    /// All of a plain answer.
    Whole(WholeAnswer),
    /// A stream, up to its first content.
    Events { head: response::Parts, opening: Box<Opening> },
    /// An answer that is passed on as it is.
    Raw { head: response::Parts, relay: RawRelay },
    /// The upstream finds fault with the request itself, and the caller gets to read that.
    Fault(Committed),
}

impl Opened {
    /// Whether it is what the caller has asked for.
    fn is_answer(&self) -> bool {
        !matches!(self, Self::Fault(_))
    }
}

/// A plain answer that is all here.
pub(super) struct WholeAnswer {
    pub(super) head: response::Parts,
    pub(super) scan: AnswerScan,
    pub(super) body: Bytes,
}

impl<'a> Attempt<'a> {
    /// An attempt that begins now, with its target's place in the route.
    pub(super) fn new(
        target: usize,
        Begun { number, trace, at: began }: Begun,
        aim: Aim<'a>,
        admission: Admission,
    ) -> Self {
        Self {
            aim,
            target,
            number,
            trace,
            admission,
            began,
            answered: None,
            waited: Duration::ZERO,
            is_upload: false,
            awaited_since: began,
            asks_usage: false,
            resents_asking: None,
        }
    }

    /// The same as [`run`](Self::run) with no other attempt beside it.
    pub(super) async fn run_alone(
        &mut self,
        sending: Sending<'_>,
        settlement: &mut Settlement,
    ) -> Result<Opened, Failure> {
        let result = self.run(sending).await;
        settlement.note_wait(self.waited);
        result
    }

    /// Sends the request and judges the answer.
    pub(super) async fn run(&mut self, sending: Sending<'_>) -> Result<Opened, Failure> {
        self.is_upload = !sending.outgoing.is_whole();
        self.asks_usage = sending.outgoing.can_ask_usage(&self.aim);
        let mut result = self.exchange(sending).await;
        if self.resents_asking.is_some() && sending.outgoing.is_whole() {
            // Dropped first, so that the future has no room for two.
            drop(result);
            result = Box::pin(self.exchange_unasked(sending)).await;
        }
        if result.as_ref().is_ok_and(Opened::is_answer) {
            if self.asks_usage {
                self.aim.provider.state.usage_refusals.note_consent(&self.aim.upstream_model);
            }
            self.admission.first_content(self.awaited_since);
        }
        result
    }

    /// Sends the request and reads as much of the answer as it takes. One function, though it has many parts: an answer is large
    /// to hand from one future to the next, so what few calls need is boxed, and all others look at it where it is.
    async fn exchange(&mut self, sending: Sending<'_>) -> Result<Opened, Failure> {
        let (asks_usage, call) = (self.asks_usage, &sending.asked.call);
        let request = |aim: &Aim<'_>, credential| sending.outgoing.request(aim, credential, asks_usage);
        let (head, mut body) = self.send(request, call.stream).await?;
        match self.classify(&head) {
            Outcome::Success => {}
            outcome @ (Outcome::ClientFault | Outcome::ModelMissing) => {
                return Box::pin(whole::open_fault(self, outcome, head, body)).await;
            }
            outcome => return Err(Box::pin(self.refused(outcome, body)).await),
        }
        match answer_kind(&head.headers) {
            AnswerKind::Events => events::open(self, call.endpoint, head, body).await,
            AnswerKind::Other if !call.endpoint.promises_json() => Ok(Opened::Raw { head, relay: RawRelay::new(body) }),
            // Where JSON is promised the body is judged, not its label: some upstreams send JSON as text.
            AnswerKind::Json | AnswerKind::Other => {
                let read = self.wait_for(whole::read_answer(&mut body)).await?;
                whole::open(self, head, body, read)
            }
        }
    }

    /// The same as the caller has it, for an upstream that has found fault with what the gateway asks. That was it if the upstream
    /// answers now; a caller whose own `stream_options` are wrong gets to read that.
    ///
    /// It is the same attempt, whose time goes on, but what is noted of it is what comes of this request: nothing of the answer
    /// before may stand beside a failure that had none, or count as the target's slowness.
    async fn exchange_unasked(&mut self, sending: Sending<'_>) -> Result<Opened, Failure> {
        (self.asks_usage, self.answered, self.awaited_since) = (false, None, clock::now());
        let opened = self.exchange(sending).await?;
        let (provider, upstream_model) = (self.aim.provider, &self.aim.upstream_model);
        let is_named = self.resents_asking == Some(Resentment::Named);
        if is_named && opened.is_answer() && provider.state.usage_refusals.note_refusal(upstream_model) {
            let (provider, upstream_model) = (&*provider.name, upstream_model.as_str());
            tracing::warn!(
                provider,
                upstream_model,
                "the upstream refuses `stream_options.include_usage`; what streams of the model take is estimated for the next hour"
            );
        }
        Ok(opened)
    }

    /// Takes note of an error that answers the request, with this status and these words as far as they could be read: it may be
    /// about what the gateway asks besides. Vendors agree on no code for that, but all name what they refuse. Where there is
    /// nothing to read, a refusal that may be about any member may be about that one.
    pub(super) fn note_error(&mut self, status: StatusCode, words: Option<&[u8]>) {
        let resentment = match words {
            Some(words) if !words.is_empty() => names_usage_question(words).then_some(Resentment::Named),
            _ => {
                matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY).then_some(Resentment::Mute)
            }
        };
        self.resents_asking = resentment.filter(|_| self.asks_usage);
    }

    /// The status of the answer, once there is one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.answered.map(|answer| answer.status)
    }

    /// Notes how the attempt failed, where it belongs.
    pub(super) fn fail(self, failure: &Failure, settlement: &mut Settlement) {
        let blame = self.blame(failure.outcome());
        self.fail_as(failure, blame, settlement);
    }

    /// Notes how the attempt failed, and tells the target something else of it: `blame`.
    pub(super) fn fail_as(self, failure: &Failure, blame: Outcome, settlement: &mut Settlement) {
        let Self { aim, admission, answered, number, .. } = self;
        let status = answered.map(|answer| answer.status);
        settlement.conclude_attempt(number, failure.outcome(), answered);
        let credential = admission.credential;
        let lost = admission.finish(blame).then_some(credential);
        failure::report(failure, &aim, status, lost, settlement);
    }

    /// What an outcome says about the target. What its caller brought about says nothing: a deadline that the caller made
    /// tight, or that the upstream got tired of waiting for the caller's upload.
    pub(super) fn blame(&self, outcome: Outcome) -> Outcome {
        let Aim { hurry, timeouts, .. } = self.aim;
        match outcome {
            Outcome::Timeout(TimeoutPhase::FirstToken) if hurry.first_token => Outcome::Cancelled,
            Outcome::Timeout(TimeoutPhase::Total) if hurry.total || self.is_upload => Outcome::Cancelled,
            _ if self.is_upload && self.status() == Some(StatusCode::REQUEST_TIMEOUT) => Outcome::Cancelled,
            // With a total timeout shorter than that for the head, a dead upstream would otherwise never be found out.
            Outcome::Timeout(TimeoutPhase::Total)
                if self.answered.is_none()
                    && clock::now().saturating_duration_since(self.began) >= timeouts.total / 2 =>
            {
                Outcome::Timeout(TimeoutPhase::Headers)
            }
            outcome => outcome,
        }
    }

    /// Waits for something that is in the upstream's hands. What is there at once is not waited for.
    pub(super) async fn wait_for<F: Future>(&mut self, future: F) -> F::Output {
        let (mut future, mut began) = (pin!(future), None);
        let output = poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if polled.is_pending() {
                began.get_or_insert_with(clock::read);
            }
            polled
        });
        let output = output.await;
        self.waited += began.map_or(Duration::ZERO, |began| clock::now().saturating_duration_since(began));
        output
    }

    /// Sends a request and waits for the head of the answer. A head that is withheld for longer than the content of a stream
    /// may be is as bad as one without: many upstreams send it only when the model begins to speak.
    ///
    /// `request` makes the request for the attempt's target, with one of the provider's credentials.
    pub(super) async fn send(
        &mut self,
        request: impl FnOnce(&Aim<'_>, usize) -> Request<RequestBody>,
        is_stream: bool,
    ) -> Result<(response::Parts, ResponseBody), Failure> {
        let Aim { provider, timeouts, deadline, .. } = &self.aim;
        let is_first_token_sooner = is_stream && timeouts.first_token < timeouts.headers;
        let headers = if is_first_token_sooner { timeouts.first_token } else { timeouts.headers };
        let limits = SendLimits { connect: timeouts.connect, headers, deadline: *deadline };
        let (upstream, idle) = (&provider.state.upstream, timeouts.idle);
        let request = self.traced(request(&self.aim, self.admission.credential));
        // Read anew: to make the request is the gateway's own work and no wait.
        let began = clock::read();
        let sent = upstream.send(request, limits).await;
        let now = clock::now();
        self.waited += now.saturating_duration_since(began);
        let response = sent.map_err(|error| match error.kind() {
            UpstreamErrorKind::HeadersTimeout if is_first_token_sooner => {
                Failure::from(Outcome::Timeout(TimeoutPhase::FirstToken))
            }
            _ => error.into(),
        })?;
        self.answered =
            Some(AnswerHead { status: response.status(), after: now.saturating_duration_since(self.began) });
        if self.is_upload {
            self.awaited_since = now;
        }
        let (head, body) = response.into_parts();
        Ok((head, body.with_idle(idle)))
    }

    /// A request that tells its upstream of the attempt's place in the call's trace, if it has one.
    fn traced(&self, mut request: Request<RequestBody>) -> Request<RequestBody> {
        if let Some(value) = self.trace.and_then(|trace| HeaderValue::try_from(trace.to_string()).ok()) {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        request
    }

    /// The verdict on an answer by its head.
    pub(super) fn classify(&self, head: &response::Parts) -> Outcome {
        self.aim.provider.protocol.classify(head, wall_clock().into())
    }

    /// The failure that an answer's head tells of, with what the upstream says of it for the log.
    pub(super) async fn refused(&mut self, outcome: Outcome, body: ResponseBody) -> Failure {
        let words = self.wait_for(explanation::read(body)).await;
        if let Some(status) = self.status() {
            self.note_error(status, Some(&words));
        }
        let fault = UpstreamFault::of_body(&words);
        Failure::refused(outcome, Explanation::new(fault.as_ref(), &words, self.aim.provider))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerKind {
    Events,
    Json,
    Other,
}

fn answer_kind(headers: &HeaderMap) -> AnswerKind {
    let essence = media_type(headers);
    if essence.eq_ignore_ascii_case(JSON) {
        AnswerKind::Json
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        AnswerKind::Events
    } else {
        AnswerKind::Other
    }
}
