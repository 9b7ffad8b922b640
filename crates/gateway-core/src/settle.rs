//! Step 8: every call is accounted for once, however it ends.
//!
//! A [`Settlement`] is made when a call is accepted and travels with it, at the end inside the answer's body. Dropping
//! it settles the call: an answer that was sent to its end, one that broke off, and a caller who left while the upstream
//! was still silent all come here, and none of them can come twice.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gateway_call::{
    AttemptRecord, CallRecord, CallTrace, Endpoint, Event, Label, ModelName, Observer, Outcome, RefusedBy, RequestId,
    Tokens, TraceParent, Usage,
};
use gateway_keystore::VirtualKey;
use gateway_ratelimit::{Levels, NanoUsd, Price};
use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::attempt::Admission;
use crate::gate::Place;
use crate::reserve::Debt;
use crate::trace::random_span;

/// The status of a call whose caller left before its answer was complete, as nginx writes it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// How many attempts of one call may be under way at once: the first, and the hedges beside it.
pub(crate) const MAX_RUNNING: usize = 4;

/// The attempt whose answer the caller gets.
struct Answering {
    number: usize,
    began: Instant,
    /// None once the upstream has nothing more to do for the call.
    admission: Option<Admission>,
    /// What the target charges.
    price: Price,
}

/// The head of an upstream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    /// How long after the start of the attempt it came.
    pub(crate) after: Duration,
}

/// An attempt that has been noted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    /// Its number among those of the call.
    pub(crate) number: usize,
    /// Its place in the call's trace, if the call is traced: what its upstream is told.
    pub(crate) trace: Option<TraceParent>,
}

/// Who an attempt goes to.
pub(crate) struct Addressee {
    /// The public name of the model that is tried.
    pub(crate) model: ModelName,
    /// The entry of the configuration that the name led to; none if the name is the caller's own.
    pub(crate) entry: Option<Label>,
    /// The provider.
    pub(crate) provider: Label,
    /// What that calls the model.
    pub(crate) upstream_model: ModelName,
}

/// How many tokens a call is expected to take, about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    pub(crate) prompt: u64,
    pub(crate) output: u64,
}

/// What a request's head says of it before anything else is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading {
    /// The method, as logs and metrics call it.
    pub(crate) method: &'static str,
    /// The path served, as a constant.
    pub(crate) path: &'static str,
}

impl Heading {
    /// That of a request for a path that is served.
    pub(crate) fn new(method: &Method, path: &'static str) -> Self {
        const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
        let method = KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
        Self { method, path }
    }
}

/// How much of an answer there was.
#[derive(Debug, Clone, Copy, Default)]
struct Measure {
    /// As the upstream reports it.
    reported: Option<Usage>,
    /// As the gateway saw it, in tokens, about.
    seen: u64,
}

/// What is known of a call so far, and the duty to report it.
pub(crate) struct Settlement {
    observer: Arc<dyn Observer>,
    request_id: RequestId,
    trace: Option<CallTrace>,
    heading: Heading,
    endpoint: Option<Endpoint>,
    started: Instant,
    waited: Duration,
    /// Since when the call waits for what is not in the gateway's hands.
    waiting: Option<Instant>,
    overhead: Option<Duration>,
    first_byte: Option<Duration>,
    key: Option<Arc<VirtualKey>>,
    /// The call's place in the process.
    place: Option<Place>,
    /// What was taken from the key's limits.
    debt: Option<Debt>,
    levels: Levels,
    /// Whether the connection cannot go on behind the answer.
    ends_connection: bool,
    expected: Expected,
    measure: Measure,
    model: Option<ModelName>,
    /// The entry of the configuration that the model's name led to.
    entry: Option<Label>,
    tags: Vec<(String, String)>,
    attempts: Vec<AttemptRecord>,
    /// The attempts that are under way: which they are, and since when.
    running: [Option<(usize, Instant)>; MAX_RUNNING],
    /// The attempt whose answer the caller gets.
    answering: Option<Answering>,
    status: Option<StatusCode>,
    error: Option<&'static str>,
    refused_by: Option<RefusedBy>,
    stream: bool,
    bytes_out: u64,
}

impl Settlement {
    /// The account of a request that has just arrived.
    pub(crate) fn open(observer: Arc<dyn Observer>, request_id: RequestId, heading: Heading, started: Instant) -> Self {
        observer.on_event(&Event::Arrived { path: heading.path });
        Self {
            observer,
            request_id,
            trace: None,
            heading,
            endpoint: None,
            started,
            waited: Duration::ZERO,
            waiting: None,
            overhead: None,
            first_byte: None,
            key: None,
            place: None,
            debt: None,
            levels: Levels::default(),
            ends_connection: false,
            expected: Expected::default(),
            measure: Measure::default(),
            model: None,
            entry: None,
            tags: Vec::new(),
            attempts: Vec::new(),
            running: [None; MAX_RUNNING],
            answering: None,
            status: None,
            error: None,
            refused_by: None,
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
        self.expected = expected;
    }

    /// Notes how much there is of an answer that is not watched as it passes: what the upstream reports of it, else what its
    /// `bytes` amount to, a token for every four of them, if it is known how many there are. Never more than was expected, for
    /// much of it is no content.
    pub(crate) fn measure_whole(&mut self, reported: Option<Usage>, bytes: Option<u64>) {
        let expected = self.expected.output;
        self.measure(reported, bytes.map_or(expected, |bytes| expected.min(bytes.div_ceil(4))));
    }

    /// Notes how much of the answer there was: what the upstream reports of it, and what was seen, in tokens.
    pub(crate) fn measure(&mut self, reported: Option<Usage>, seen: u64) {
        self.measure = Measure { reported, seen };
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
        let (number, now) = (self.attempts.len(), Instant::now());
        let Addressee { model, entry, provider, upstream_model } = at;
        let trace = self.trace.map(|trace| trace.own.at(random_span()));
        self.attempts.push(AttemptRecord {
            model,
            entry,
            provider,
            upstream_model,
            outcome: Outcome::Cancelled,
            status: None,
            span: trace.map(|trace| trace.span),
            began: now.saturating_duration_since(self.started),
            head: None,
            elapsed: Duration::ZERO,
        });
        if let Some(slot) = self.running.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((number, now));
        }
        Begun { number, trace }
    }

    /// Notes what came of an attempt.
    pub(crate) fn conclude_attempt(&mut self, number: usize, outcome: Outcome, answer: Option<AnswerHead>) {
        let slot = self.running.iter_mut().find(|slot| slot.is_some_and(|(running, _)| running == number));
        let began = slot.and_then(Option::take).map(|(_, began)| began);
        if let Some(attempt) = self.attempts.get_mut(number) {
            attempt.outcome = outcome;
            attempt.status = answer.map(|head| head.status.as_u16());
            attempt.head = answer.map(|head| head.after);
            attempt.elapsed = began.map_or(attempt.elapsed, |began| began.elapsed());
        }
    }

    /// Notes that whatever is under way is given up, `but` for one attempt: that one has decided the race.
    pub(crate) fn cancel_attempts(&mut self, but: Option<usize>) {
        let others = self.running.iter_mut().filter(|slot| slot.is_some_and(|(number, _)| Some(number) != but));
        for (number, began) in others.filter_map(Option::take) {
            if let Some(attempt) = self.attempts.get_mut(number) {
                attempt.elapsed = began.elapsed();
            }
        }
    }

    /// Notes whose answer the caller gets. Its `admission` is kept while the upstream is still sending.
    pub(crate) fn answer_with(&mut self, number: usize, began: Instant, admission: Option<Admission>, price: Price) {
        self.answering = Some(Answering { number, began, admission, price });
    }

    /// Notes what came of the answer. What began well may end badly, so a later verdict replaces an earlier.
    pub(crate) fn judge_answer(&mut self, outcome: Outcome) {
        let Some(answering) = &self.answering else { return };
        if let Some(attempt) = self.attempts.get_mut(answering.number) {
            attempt.outcome = outcome;
            attempt.elapsed = answering.began.elapsed();
        }
    }

    /// Notes that the caller left before the answer was complete.
    pub(crate) fn note_caller_left(&mut self) {
        self.judge_answer(Outcome::Cancelled);
        self.status = None;
    }

    /// Waits for something that is not in the gateway's hands, and does not count the time as the gateway's.
    pub(crate) async fn wait_for<F: Future>(&mut self, future: F) -> F::Output {
        self.waiting = Some(Instant::now());
        let output = future.await;
        self.end_wait();
        output
    }

    /// Counts the wait that is over, or that the caller has put an end to.
    fn end_wait(&mut self) {
        self.waited += self.waiting.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    /// Notes time that was not in the gateway's hands.
    pub(crate) fn note_wait(&mut self, waited: Duration) {
        self.waited += waited;
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

    /// Notes what kept the call from being tried.
    pub(crate) fn note_refusal(&mut self, refused_by: Option<RefusedBy>) {
        self.refused_by = refused_by;
    }

    /// Notes bytes of the answer's body that were handed to the connection.
    pub(crate) fn note_bytes(&mut self, count: usize) {
        self.first_byte.get_or_insert_with(|| self.started.elapsed());
        self.bytes_out += count as u64;
    }
}

impl Settlement {
    /// What the answer took and what that costs. An answer is paid for as far as it went; whatever else the call came to is free.
    fn bill(&self) -> Option<(Tokens, NanoUsd)> {
        let answering = self.answering.as_ref()?;
        let outcome = self.attempts.get(answering.number)?.outcome;
        if outcome == Outcome::ClientFault || self.endpoint.is_none() {
            return None;
        }
        let Measure { reported, seen } = self.measure;
        let guessed = || Usage { prompt: self.expected.prompt, completion: seen, cached: 0 };
        let tokens = Tokens { usage: reported.unwrap_or_else(guessed), is_estimated: reported.is_none() };
        Some((tokens, answering.price.cost(tokens.usage.prompt, tokens.usage.completion)))
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let bill = self.bill();
        if let Some(debt) = self.debt.take() {
            match bill {
                Some((tokens, cost)) => debt.pay(tokens, cost),
                None => debt.forgive(),
            }
        }
        let in_flight = self.running.iter().flatten().map(|(_, began)| *began).min();
        self.waiting = self.waiting.or(in_flight);
        self.end_wait();
        self.cancel_attempts(None);
        if let Some(answering) = self.answering.take()
            && let (Some(admission), Some(attempt)) = (answering.admission, self.attempts.get(answering.number))
            && admission.finish(attempt.outcome)
        {
            let (request_id, provider) = (self.request_id.as_str(), &*attempt.provider);
            tracing::error!(request_id, provider, "the upstream rejected its credential in the middle of an answer");
        }
        let duration = self.started.elapsed();
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
            attempts: &self.attempts,
            tags: &self.tags,
            duration,
            first_byte: self.first_byte,
            overhead: self.overhead.unwrap_or_else(|| duration.saturating_sub(self.waited)),
            bytes_out: self.bytes_out,
        }));
    }
}
