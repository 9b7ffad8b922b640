//! The body of an answer: whole, or frame by frame at its pace, and broken where it is meant to break.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::behaviour::{Fault, FaultKind, Point};
use crate::stream::{Beat, FrameScript};

/// The answer was cut on purpose; hyper closes the connection (or resets the stream) for it.
#[derive(Debug, Error)]
#[error("the simulated connection was cut, as the model's behaviour asks for")]
pub(crate) struct CutOnPurpose;

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct AnswerBody(Source);

#[derive(Debug)]
enum Source {
    Whole(Option<Bytes>),
    /// A plain answer that breaks: what is sent of it, and the length that its head promises.
    Broken {
        part: Option<Bytes>,
        promised: u64,
        breakage: Breakage,
    },
    Stream(Box<Stream>),
}

#[derive(Debug)]
struct Stream {
    script: FrameScript,
    pace: Option<Pace>,
    fault: Option<Fault>,
    breakage: Option<Breakage>,
}

/// The clock of a stream with a cadence: frames are due at fixed times, so that a slow write delays no later frame.
#[derive(Debug)]
struct Pace {
    every: Duration,
    /// When the next content frame is due; the first one is as soon as it is asked for.
    due: Option<Pin<Box<Sleep>>>,
}

/// The break itself. A cut waits for one more poll so that what was sent before it leaves first.
#[derive(Debug)]
struct Breakage {
    kind: FaultKind,
    is_flushed: bool,
}

impl AnswerBody {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self(Source::Whole(Some(body)))
    }

    /// A plain answer that breaks at `fault`, if at all.
    pub(crate) fn plain(body: Bytes, fault: Option<Fault>) -> Self {
        let Some(fault) = fault else { return Self::whole(body) };
        let promised = body.len() as u64;
        let is_empty = matches!(fault.point, Point::BeforeHead | Point::AfterHead);
        let part = (!is_empty).then(|| body.slice(..body.len() / 2));
        Self(Source::Broken { part, promised, breakage: Breakage::at(fault) })
    }

    /// A stream with `every` between its content frames that breaks at `fault`, if at all.
    pub(crate) fn stream(script: FrameScript, every: Duration, fault: Option<Fault>) -> Self {
        let pace = (!every.is_zero()).then_some(Pace { every, due: None });
        Self(Source::Stream(Box::new(Stream { script, pace, fault, breakage: None })))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = CutOnPurpose;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOnPurpose>>> {
        match &mut self.0 {
            Source::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Source::Broken { part, breakage, .. } => match part.take() {
                Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
                None => breakage.poll(cx).map(|cut| Some(Err(cut))),
            },
            Source::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Source::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Source::Broken { promised, .. } => SizeHint::with_exact(*promised),
            Source::Stream(_) => SizeHint::default(),
        }
    }
}

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOnPurpose>>> {
        let beat = self.script.next_beat();
        if let Some(fault) = self.fault
            && self.breakage.is_none()
            && fault.is_due_before(beat)
        {
            self.breakage = Some(Breakage::at(fault));
        }
        if let Some(breakage) = &mut self.breakage {
            return breakage.poll(cx).map(|cut| Some(Err(cut)));
        }
        if let (Beat::Content { .. }, Some(pace)) = (beat, &mut self.pace) {
            ready!(pace.poll(cx));
        }
        let Some(frame) = self.script.next_frame() else { return Poll::Ready(None) };
        let is_broken_within =
            beat == Beat::Content { is_first: true } && self.fault.is_some_and(|fault| fault.point == Point::MidChar);
        let frame = if is_broken_within { frame.slice(..middle_of_char(&frame)) } else { frame };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

impl Pace {
    /// Ready when a content frame is due; the next one then is so much later.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = &mut self.due else {
            self.due = Some(Box::pin(sleep_until(Instant::now() + self.every)));
            return Poll::Ready(());
        };
        ready!(due.as_mut().poll(cx));
        let next = due.deadline() + self.every;
        due.as_mut().reset(next);
        Poll::Ready(())
    }
}

impl Fault {
    /// Whether the answer breaks rather than go on with this beat.
    fn is_due_before(self, next: Beat) -> bool {
        match self.point {
            Point::BeforeHead | Point::AfterHead => true,
            Point::AfterRole => next != Beat::Opening,
            Point::AfterContent | Point::MidChar => !matches!(next, Beat::Opening | Beat::Content { is_first: true }),
            Point::BeforeDone => matches!(next, Beat::Done | Beat::End),
        }
    }
}

impl Breakage {
    fn at(fault: Fault) -> Self {
        // hyper drops a head that it has not written yet when the first poll of the body fails.
        Self { kind: fault.kind, is_flushed: fault.point == Point::BeforeHead }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CutOnPurpose> {
        match self.kind {
            // Nobody needs to wake this: hyper notices by itself when the peer goes away.
            FaultKind::Stall => Poll::Pending,
            FaultKind::Cut if self.is_flushed => Poll::Ready(CutOnPurpose),
            FaultKind::Cut => {
                self.is_flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// An offset behind the first byte of the first character of several bytes, or else half way.
fn middle_of_char(frame: &[u8]) -> usize {
    frame.iter().position(|byte| !byte.is_ascii()).map_or(frame.len() / 2, |first| first + 1)
}
