//! A stream of events passed on as it arrives.
//!
//! Each event is reframed and gets the public model name. Events that are ready together leave together, in one chunk;
//! no event ever waits for another.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_call::Outcome;
use gateway_protocol::{FrameKind, KEEP_ALIVE, Provider, StreamRewriter, refusal_frame};
use gateway_sse::{Frame, SseDecoder};
use gateway_upstream::ResponseBody;
use http::StatusCode;
use http_body::Body;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::readiness::Readiness;
use super::scratch;
use crate::clock;
use crate::redact::Redactor;
use crate::rejection::{Rejection, failure_code};
use crate::settle::{Measure, Settlement};

/// How much leaves in one chunk at most, in bytes; enough to fill a socket's buffer, little enough to hold per stream.
const MAX_CHUNK: usize = 64 * 1024;

/// How long the gateway waits behind `[DONE]` for the end of the upstream's body, which lets the connection be reused.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// How long nothing goes to the caller before a comment does. Proxies on the way close what is silent for longer: an
/// nginx after 60 s, some clouds' load balancers after 30.
const MAX_SILENCE: Duration = Duration::from_secs(15);

const DONE: &[u8] = b"data: [DONE]\n\n";

/// Who can tell what an upstream's error means, and what must not be quoted of it.
pub(crate) struct Judge {
    /// The upstream's protocol.
    pub(crate) protocol: Arc<dyn Provider>,
    /// Takes its credentials out of its words.
    pub(crate) redactor: Redactor,
}

/// The relay of one stream.
pub(crate) struct EventRelay {
    body: ResponseBody,
    decoder: SseDecoder,
    rewriter: StreamRewriter,
    provider: Judge,
    /// What was written and has not left; empty between two turns, but before the first.
    out: BytesMut,
    phase: Phase,
    /// Whether the upstream has brought the stream to its proper end.
    is_whole: bool,
    last_sent: Instant,
    /// Made at the first wait. It runs on while events pass, and is set anew only when it has run out.
    silence: Option<Pin<Box<Sleep>>>,
    /// When it runs out. The timer knows it too, but each event would fetch the timer's memory to ask.
    silence_ends: Instant,
    readiness: Readiness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Events are arriving.
    Flowing,
    /// `[DONE]` has passed; nothing behind it goes to the caller.
    Ending,
    /// The upstream's body is over or was given up.
    Over,
}

impl EventRelay {
    /// A relay that begins with events already read, none of which is an error.
    pub(crate) fn begin(
        body: ResponseBody,
        decoder: SseDecoder,
        rewriter: StreamRewriter,
        provider: Judge,
        held: &[Frame],
    ) -> Self {
        let now = clock::now();
        let mut relay = Self {
            body,
            decoder,
            rewriter,
            provider,
            out: BytesMut::new(),
            phase: Phase::Flowing,
            is_whole: false,
            last_sent: now,
            silence: None,
            silence_ends: now,
            readiness: Readiness::new(),
        };
        for frame in held {
            if relay.rewriter.frame(frame, &mut relay.out) == FrameKind::Done {
                relay.expect_end();
            }
        }
        relay
    }

    /// How much of the answer there has been. A token is seen in every four bytes of content, OpenAI's own rule of thumb ("What
    /// are tokens and how to count them?").
    pub(super) fn measure(&self) -> Measure {
        let Self { rewriter, is_whole, .. } = self;
        Measure { reported: rewriter.usage(), seen: rewriter.content_bytes().div_ceil(4), is_whole: *is_whole }
    }

    /// Whether everything has been handed out.
    pub(super) fn is_complete(&self) -> bool {
        self.phase != Phase::Flowing && self.out.is_empty()
    }

    /// Whether there is nothing left to do either.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over && self.out.is_empty()
    }

    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        settlement: Option<&mut Settlement>,
    ) -> Poll<Option<Bytes>> {
        if self.readiness.is_still_pending(cx) {
            return Poll::Pending;
        }
        let waker = self.readiness.clear();
        let cx = &mut Context::from_waker(&waker);
        if !self.out.is_empty() {
            return self.poll_events(cx, settlement);
        }
        self.out = scratch::take();
        let polled = self.poll_events(cx, settlement);
        let written = if let Poll::Ready(written) = &polled { written.as_ref() } else { None };
        scratch::put_back(std::mem::take(&mut self.out), written);
        polled
    }

    fn poll_events(&mut self, cx: &mut Context<'_>, settlement: Option<&mut Settlement>) -> Poll<Option<Bytes>> {
        let (mut failure, mut is_waiting) = (None, false);
        while self.phase == Phase::Flowing && self.out.len() < MAX_CHUNK && !is_waiting {
            match self.advance(cx) {
                Poll::Pending => is_waiting = true,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(outcome)) => failure = Some(outcome),
            }
        }
        if let (Some(outcome), Some(settlement)) = (failure, settlement) {
            settlement.judge_answer(outcome);
            settlement.note_error(Some(failure_code(outcome)));
        }
        if !self.out.is_empty() {
            self.last_sent = clock::now();
            // A timer that has yet to run out wakes the relay, as the body does. One that has run out meanwhile wakes nobody any more.
            if is_waiting && self.silence.is_some() && self.last_sent < self.silence_ends {
                self.readiness.note_pending();
            }
            return Poll::Ready(Some(self.out.split().freeze()));
        }
        match self.phase {
            Phase::Flowing => self.poll_silence(cx).map(Some),
            Phase::Ending => self.poll_end(cx),
            Phase::Over => Poll::Ready(None),
        }
    }

    /// Waits until the caller has heard nothing for too long, and then says that the stream is alive.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let silence = self.silence.get_or_insert_with(|| {
            self.silence_ends = clock::read() + MAX_SILENCE;
            Box::pin(sleep_until(self.silence_ends))
        });
        // A task that has used up its turn would not get to the timer, and not be woken by it.
        while pin!(unconstrained(silence.as_mut())).poll(cx).is_ready() {
            // Read anew: the timer may have fired since the turn began.
            let now = clock::read();
            self.silence_ends = self.last_sent + MAX_SILENCE;
            if now >= self.silence_ends {
                self.last_sent = now;
                self.silence = None;
                return Poll::Ready(Bytes::from_static(KEEP_ALIVE));
            }
            silence.as_mut().reset(self.silence_ends);
        }
        self.readiness.note_pending();
        Poll::Pending
    }

    /// Moves what is decoded into `out`, and decodes one more part of the upstream's body once there is nothing left.
    ///
    /// An error has been written into `out` when this returns it.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
        match self.decoder.next_frame() {
            Ok(Some(frame)) => return Poll::Ready(self.pass_on(&frame)),
            Ok(None) => {}
            Err(_) => return Poll::Ready(Err(self.fail(Outcome::InvalidResponse))),
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(chunk) = frame.into_data() {
                    self.decoder.push(chunk);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Some(Err(error))) => {
                let outcome = error.outcome();
                Poll::Ready(Err(self.fail(outcome)))
            }
            Poll::Ready(None) => Poll::Ready(self.end()),
        }
    }

    fn pass_on(&mut self, frame: &Frame) -> Result<(), Outcome> {
        let start = self.out.len();
        match self.rewriter.frame(frame, &mut self.out) {
            FrameKind::Done => self.expect_end(),
            // The upstream's own words are already in `out`; nothing may follow them.
            FrameKind::Error(fault) => {
                let words = self.out.split_off(start).freeze();
                self.out.extend_from_slice(&self.provider.redactor.redact(words));
                self.phase = Phase::Over;
                // A request that turns out to be at fault, by its content for instance, is no failure of the upstream.
                return Err(self.provider.protocol.classify_fault(StatusCode::OK, &fault));
            }
            _ => {}
        }
        Ok(())
    }

    /// Passes on an event that lacks its empty line if it is what the stream still had to say. Any other is a part of
    /// one that the caller could not read.
    fn pass_on_unfinished(&mut self, frame: &Frame) -> Result<(), Outcome> {
        let (len, had_ended) = (self.out.len(), self.rewriter.saw_end());
        self.pass_on(frame)?;
        if self.phase == Phase::Flowing && (had_ended || !self.rewriter.saw_end()) {
            self.out.truncate(len);
        }
        Ok(())
    }

    /// The upstream's body ended: properly, if the protocol's own end was seen before.
    fn end(&mut self) -> Result<(), Outcome> {
        if let Some(unfinished) = self.decoder.finish() {
            self.pass_on_unfinished(&unfinished)?;
        }
        if self.phase == Phase::Flowing && !self.rewriter.saw_end() {
            return Err(self.fail(Outcome::Truncated));
        }
        if self.phase == Phase::Flowing && self.rewriter.wants_done() {
            self.out.extend_from_slice(DONE);
        }
        self.is_whole = true;
        self.phase = Phase::Over;
        Ok(())
    }

    /// Tells the caller that the stream broke, in a frame that its SDK raises as an error. `[DONE]` never follows.
    fn fail(&mut self, outcome: Outcome) -> Outcome {
        self.out.extend_from_slice(&refusal_frame(&Rejection::Upstream { outcome }.refusal(None)));
        self.phase = Phase::Over;
        outcome
    }

    fn expect_end(&mut self) {
        self.is_whole = true;
        self.phase = Phase::Ending;
        self.body.set_idle(END_TIMEOUT);
    }

    /// Waits behind `[DONE]` for the end of the upstream's body, so that its connection can be used again. However that
    /// goes, the caller has everything.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let _ = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.phase = Phase::Over;
        Poll::Ready(None)
    }
}
