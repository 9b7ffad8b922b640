//! The beginning of a stream, up to its first content.
//!
//! A stream is committed to once it has shown content, because an upstream that fails usually does so before. What
//! comes ahead of the content, such as the event with the role, is held and leaves with it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_call::{Endpoint, Outcome, TimeoutPhase};
use gateway_protocol::{FrameKind, StreamRewriter, UpstreamFault};
use gateway_sse::{Frame, MAX_EVENT, SseDecoder};
use gateway_upstream::ResponseBody;
use http::{HeaderValue, header, response};
use http_body_util::BodyExt;
use tokio::time::timeout_at;

use super::exchange::{Attempt, Opened};
use super::failure::Failure;
use super::fault;
use crate::relay::{EventRelay, Judge};

/// How many events are held at most; with more ahead of its content a stream is committed to without.
const MAX_HELD_EVENTS: usize = 64;

/// How many bytes of events are held at most.
const MAX_HELD_BYTES: usize = 64 * 1024;

/// Reads a successful stream up to its first content.
pub(super) async fn open(
    attempt: &mut Attempt<'_>,
    endpoint: Endpoint,
    mut head: response::Parts,
    body: ResponseBody,
) -> Result<Opened, Failure> {
    let timeouts = attempt.aim.timeouts;
    // A model may think for longer than it may pause: ahead of the content only the time to it counts.
    let mut opening = Box::new(Opening::new(endpoint, body.with_idle(timeouts.total)));
    let until = attempt.awaited_since + timeouts.first_token;
    let beginning = attempt.wait_for(timeout_at(until, opening.read())).await;
    match beginning.map_err(|_| Outcome::Timeout(TimeoutPhase::FirstToken))?? {
        Beginning::Content => Ok(Opened::Events { head, opening }),
        Beginning::Fault { fault, document } => {
            head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            fault::wrapped(attempt, &fault, head.headers, document)
        }
    }
}

/// A stream that has not been committed to.
pub(super) struct Opening {
    endpoint: Endpoint,
    body: ResponseBody,
    decoder: SseDecoder,
    /// Reads events before it is known what to write into them.
    trial: StreamRewriter,
    /// What the trial writes.
    discarded: BytesMut,
    held: Vec<Frame>,
    held_bytes: usize,
}

/// How a stream began.
enum Beginning {
    /// With an answer.
    Content,
    /// With an error in its place.
    Fault {
        /// What is known of it.
        fault: UpstreamFault,
        /// The upstream's own words, without the framing of events.
        document: Bytes,
    },
}

impl Opening {
    fn new(endpoint: Endpoint, body: ResponseBody) -> Self {
        Self {
            endpoint,
            body,
            decoder: SseDecoder::new(MAX_EVENT),
            trial: StreamRewriter::new(endpoint, None),
            discarded: BytesMut::new(),
            held: Vec::new(),
            held_bytes: 0,
        }
    }

    /// Reads up to the first content.
    async fn read(&mut self) -> Result<Beginning, Failure> {
        loop {
            while let Some(frame) = self.decoder.next_frame().map_err(|_| Outcome::InvalidResponse)? {
                if let Some(beginning) = self.hold(frame) {
                    return Ok(beginning);
                }
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(chunk) = frame?.into_data() {
                        self.decoder.push(chunk);
                    }
                }
                None => return self.end(),
            }
        }
    }

    /// What the stream answers.
    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The relay of the stream, with what was held at its front. From here on no two parts may be further apart than
    /// `idle`.
    pub(super) fn into_relay(self, rewriter: StreamRewriter, provider: Judge, idle: Duration) -> EventRelay {
        EventRelay::begin(self.body.with_idle(idle), self.decoder, rewriter, provider, &self.held)
    }

    /// Takes an event; says how the stream began once that is known.
    fn hold(&mut self, frame: Frame) -> Option<Beginning> {
        self.discarded.clear();
        match self.trial.frame(&frame, &mut self.discarded) {
            FrameKind::Dropped => return None,
            FrameKind::Error(fault) => {
                let document = frame.data().bytes(&frame).map(Bytes::copy_from_slice).unwrap_or_default();
                return Some(Beginning::Fault { fault, document });
            }
            _ => {}
        }
        self.held_bytes += frame.bytes().len();
        self.held.push(frame);
        let is_full = self.held.len() >= MAX_HELD_EVENTS || self.held_bytes >= MAX_HELD_BYTES;
        (is_full || self.trial.saw_content() || self.trial.saw_end()).then_some(Beginning::Content)
    }

    /// The body ended without content. That is an answer only if the last event, which may lack its empty line, says so.
    fn end(&mut self) -> Result<Beginning, Failure> {
        let truncated = Err(Failure::from(Outcome::Truncated));
        let could_end_anywhere = self.trial.saw_end();
        let Some(unfinished) = self.decoder.finish() else { return truncated };
        match self.hold(unfinished) {
            Some(Beginning::Content) if could_end_anywhere || !self.trial.saw_end() => truncated,
            Some(beginning) => Ok(beginning),
            None => truncated,
        }
    }
}
