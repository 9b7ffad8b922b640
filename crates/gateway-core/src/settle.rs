//! Step 8: every call is accounted for once, however it ends.
//!
//! A [`Settlement`] is made when a call is accepted and travels with it, at the end inside the answer's body. Dropping
//! it settles the call: an answer that was sent to its end, one that broke off, and a caller who left while the upstream
//! was still silent all come here, and none of them can come twice.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gateway_call::{
    AttemptRecord, CallRecord, CallTrace, Endpoint, Event, Label, ModelName, Observer, Outcome, RefusedBy, RequestId,
    Tokens,
};
use gateway_keystore::VirtualKey;
use gateway_protocol::ReportedUsage;
use gateway_ratelimit::{Levels, NanoUsd, Price};
use http::StatusCode;
use tokio::time::Instant;

use crate::attempt::Admission;
use crate::clock::{self, moment, turn};
use crate::gate::Place;
use crate::reserve::Debt;
use crate::trace::random_span;

mod attempts;
mod consumption;
mod heading;
mod stopwatch;

use attempts::Attempts;
pub(crate) use attempts::{Addressee, AnswerHead, Begun, MAX_RUNNING};
use consumption::Consumption;
pub(crate) use consumption::{Expected, Measure};
pub(crate) use heading::Heading;
use stopwatch::Stopwatch;

/// The status of a call whose caller left before its answer was complete, as nginx writes it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The attempt whose answer the caller gets.
struct Answering {
    number: usize,
    began: Instant,
    /// None once the upstream has nothing more to do for the call.
    admission: Option<Admission>,
    /// What the target charges.
    price: Price,
}

/// What is known of a call so far, and the duty to report it.
pub(crate) struct Settlement {
    observer: Arc<dyn Observer>,
    request_id: RequestId,
    trace: Option<CallTrace>,
    heading: Heading,
    endpoint: Option<Endpoint>,
    time: Stopwatch,
    key: Option<Arc<VirtualKey>>,
    /// The call's place in the process.
    place: Option<Place>,
    /// What was taken from the key's limits.
    debt: Option<Debt>,
    levels: Levels,
    /// Whether the connection cannot go on behind the answer.
    ends_connection: bool,
    consumption: Consumption,
    model: Option<ModelName>,
    /// The entry of the configuration that the model's name led to.
    entry: Option<Label>,
    tags: Vec<(String, String)>,
    attempts: Attempts,
    /// The attempt whose answer the caller gets.
    answering: Option<Answering>,
    /// The number of the attempt whose refusal the caller gets, where no other brought an answer.
    quoted: Option<usize>,
    status: Option<StatusCode>,
    error: Option<&'static str>,
    refused_by: Option<RefusedBy>,
    stream: bool,
    bytes_out: u64,
}

impl Settlement {
    /// The account of a request that has just arrived.
    ///
    /// In a box, because it is large and moves with the answer through every layer of the connection.
    pub(crate) fn open(
        observer: Arc<dyn Observer>,
        request_id: RequestId,
        heading: Heading,
        started: Instant,
    ) -> Box<Self> {
        observer.on_event(&Event::Arrived { path: heading.path });
        Box::new(Self {
            observer,
            request_id,
            trace: None,
            heading,
            endpoint: None,
            time: Stopwatch::start(started),
            key: None,
            place: None,
            debt: None,
            levels: Levels::default(),
            ends_connection: false,
            consumption: Consumption::default(),
            model: None,
            entry: None,
            tags: Vec::new(),
            attempts: Attempts::default(),
            answering: None,
            quoted: None,
            status: None,
            error: None,
            refused_by: None,
            stream: false,
            bytes_out: 0,
        })
    }

    /// When the request's head arrived.
    pub(crate) fn started(&self) -> Instant {
        self.time.started()
    }

    /// The request's identifier.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The attempts so far.
    pub(crate) fn attempts(&self) -> &[AttemptRecord] {
        self.attempts.records()
    }

    /// Notes the call's place in its trace, which it has from then on.
    pub(crate) fn trace(&mut self, trace: CallTrace) {
        self.trace = Some(trace);
    }

    /// Notes the endpoint.
    pub(crate) fn note_endpoint(&mut self, endpoint: Endpoint) {
        self.endpoint = Some(endpoint);
    }

    /// Notes the caller's key.
    pub(crate) fn note_key(&mut self, key: Arc<VirtualKey>) {
        self.key = Some(key);
    }

    /// Takes the call's place, which it has until it is settled.
    pub(crate) fn occupy(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Notes what was taken from the key's limits, which is owed until the call is settled.
    pub(crate) fn owe(&mut self, debt: Debt) {
        self.levels = debt.levels();
        self.debt = Some(debt);
    }

    /// Notes how much the key has left.
    pub(crate) fn note_levels(&mut self, levels: Levels) {
        self.levels = levels;
    }

    /// Notes that the connection cannot go on behind the answer.
    pub(crate) fn end_connection(&mut self) {
        self.ends_connection = true;
    }

    /// Whether the connection cannot go on behind the answer.
    pub(crate) fn ends_connection(&self) -> bool {
        self.ends_connection
    }

    /// How much the key has left.
    pub(crate) fn levels(&self) -> Levels {
        self.levels
    }

    /// Notes what the call is expected to take, which counts where its upstream does not report what it took.
    pub(crate) fn expect(&mut self, expected: Expected) {
        self.consumption.expect(expected);
    }

    /// Notes how much there is of a plain answer: what the upstream reports of it, and how many bytes it has.
    pub(crate) fn measure_whole(&mut self, reported: ReportedUsage, bytes: u64) {
        self.consumption.measure_whole(reported, bytes);
    }

    /// Notes how much of the answer there was.
    pub(crate) fn measure(&mut self, measure: Measure) {
        self.consumption.measure(measure);
    }

    /// Notes what was asked for; only names that the configuration knows may come here.
    pub(crate) fn note_model(&mut self, model: ModelName, entry: Option<Label>, tags: Vec<(String, String)>) {
        self.model = Some(model);
        self.entry = entry;
        self.tags = tags;
    }

    /// Notes that an attempt begins. Until more is known of it, it counts as cancelled, which is what it
    /// is if the call is dropped now.
    pub(crate) fn begin_attempt(&mut self, at: Addressee) -> Begun {
        let trace = self.trace.map(|trace| trace.own.at(random_span()));
        self.attempts.begin(at, trace, self.time.started())
    }

    /// Notes what came of an attempt.
    pub(crate) fn conclude_attempt(&mut self, number: usize, outcome: Outcome, answer: Option<AnswerHead>) {
        self.attempts.conclude(number, outcome, answer);
    }

    /// Notes that whatever is under way is given up, `but` for one attempt: that one has decided the race.
    pub(crate) fn cancel_attempts(&mut self, but: Option<usize>) {
        self.attempts.cancel(but);
    }

    /// Notes whose answer the caller gets. Its `admission` is kept while the upstream is still sending.
    pub(crate) fn answer_with(&mut self, number: usize, began: Instant, admission: Option<Admission>, price: Price) {
        self.answering = Some(Answering { number, began, admission, price });
    }

    /// Notes whose refusal the caller gets, because no attempt brought an answer.
    pub(crate) fn quote(&mut self, number: usize) {
        self.quoted = Some(number);
    }

    /// Notes what came of the answer. What began well may end badly, so a later verdict replaces an earlier.
    pub(crate) fn judge_answer(&mut self, outcome: Outcome) {
        let Some(answering) = &self.answering else { return };
        self.attempts.judge(answering.number, outcome, clock::now().saturating_duration_since(answering.began));
    }

    /// Notes that the caller left before the answer was complete.
    pub(crate) fn note_caller_left(&mut self) {
        self.judge_answer(Outcome::Cancelled);
        self.status = None;
    }

    /// Waits for something that is not in the gateway's hands, and does not count the time as the gateway's. What is there at
    /// once is not waited for.
    pub(crate) async fn wait_for<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let output = poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if polled.is_pending() {
                self.time.begin_wait();
            }
            polled
        });
        let output = output.await;
        self.time.end_wait();
        output
    }

    /// Notes time that was not in the gateway's hands.
    pub(crate) fn note_wait(&mut self, waited: Duration) {
        self.time.note_wait(waited);
    }

    /// Notes that the head of the answer is about to leave; returns the time spent in the gateway itself.
    pub(crate) fn note_answer(&mut self, status: StatusCode, stream: bool) -> Duration {
        self.status = Some(status);
        self.stream = stream;
        self.time.note_head()
    }

    /// Notes the `code` of the error that the caller gets.
    pub(crate) fn note_error(&mut self, code: Option<&'static str>) {
        self.error = code;
    }

    /// Notes what kept the call from being tried.
    pub(crate) fn note_refusal(&mut self, refused_by: Option<RefusedBy>) {
        self.refused_by = refused_by;
    }

    /// Notes that the first bytes of the answer's body leave.
    pub(crate) fn note_first_byte(&mut self) {
        self.time.note_first_byte();
    }

    /// Notes how many bytes of the answer's body were handed to the connection.
    pub(crate) fn note_bytes(&mut self, count: u64) {
        self.bytes_out = count;
    }

    /// What the answer took and what that costs. An answer is paid for as far as it went; whatever else the call came to is free.
    fn bill(&self) -> Option<(Tokens, NanoUsd)> {
        let answering = self.answering.as_ref()?;
        let outcome = self.attempts().get(answering.number)?.outcome;
        if outcome == Outcome::ClientFault || self.endpoint.is_none() {
            return None;
        }
        let tokens = self.consumption.tokens(self.bytes_out);
        Some((tokens, answering.price.cost(tokens.usage.prompt, tokens.usage.completion)))
    }

    /// Gives back what the call has taken from its key's limits, but for what the answer took.
    fn settle_debt(&mut self, bill: Option<(Tokens, NanoUsd)>) {
        let Some(debt) = self.debt.take() else { return };
        let at = moment();
        match bill {
            Some((tokens, cost)) => debt.pay(tokens, cost, at),
            None => debt.forgive(at),
        }
    }

    /// Tells the target how its answer ended, if that has not been known before.
    fn release_target(&mut self) {
        if let Some(answering) = &mut self.answering
            && let (Some(admission), Some(attempt)) =
                (answering.admission.take(), self.attempts.records().get(answering.number))
            && admission.finish(attempt.outcome)
        {
            let (request_id, provider) = (self.request_id.as_str(), &*attempt.provider);
            tracing::error!(request_id, provider, "the upstream rejected its credential in the middle of an answer");
        }
    }

    fn tell(&self, bill: Option<(Tokens, NanoUsd)>) {
        let duration = clock::now().saturating_duration_since(self.time.started());
        self.observer.on_event(&Event::Settled(&CallRecord {
            request_id: &self.request_id,
            trace: self.trace,
            method: self.heading.method,
            path: self.heading.path,
            endpoint: self.endpoint,
            key: self.key.as_ref().map(|key| &key.name),
            model: self.model.as_ref().map(ModelName::as_str),
            entry: self.entry.as_ref(),
            status: self.status.map_or(CLIENT_CLOSED_REQUEST, |status| status.as_u16()),
            error: self.error,
            refused_by: self.refused_by,
            tokens: bill.map(|(tokens, _)| tokens),
            cost_nano_usd: bill.map_or(0, |(_, cost)| cost.0),
            stream: self.stream,
            attempts: self.attempts(),
            answering: self.answering.as_ref().map(|answering| answering.number).or(self.quoted),
            tags: &self.tags,
            duration,
            first_byte: self.time.first_byte(),
            overhead: self.time.overhead(duration),
            bytes_out: self.bytes_out,
        }));
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        turn(|| {
            let bill = self.bill();
            self.settle_debt(bill);
            self.time.has_waited_since(self.attempts.running_since());
            self.time.end_wait();
            self.cancel_attempts(None);
            self.release_target();
            self.tell(bill);
        });
    }
}
