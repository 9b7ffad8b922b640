//! An upstream's body passed on as it is.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gateway_upstream::ResponseBody;
use http_body::{Body, SizeHint};

use super::BrokenAnswer;
use crate::rejection::failure_code;
use crate::settle::Settlement;

/// Passes on whatever was read already, and then the rest as it arrives.
pub(crate) struct RawRelay {
    beginning: VecDeque<Bytes>,
    body: ResponseBody,
    finished: bool,
}

impl RawRelay {
    /// All of `body`.
    pub(crate) fn new(body: ResponseBody) -> Self {
        Self::behind(Vec::new(), body)
    }

    /// What was read of `body`, and then the rest of it.
    pub(crate) fn behind(beginning: Vec<Bytes>, body: ResponseBody) -> Self {
        Self { beginning: beginning.into(), body, finished: false }
    }

    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        settlement: Option<&mut Settlement>,
    ) -> Poll<Option<Result<Bytes, BrokenAnswer>>> {
        if let Some(chunk) = self.beginning.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        while !self.finished {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { break };
            match frame {
                Err(error) => {
                    self.finished = true;
                    let outcome = error.outcome();
                    if let Some(settlement) = settlement {
                        settlement.judge_answer(outcome);
                        settlement.note_error(Some(failure_code(outcome)));
                    }
                    return Poll::Ready(Some(Err(BrokenAnswer { outcome })));
                }
                // Trailers stay behind: they belong to the upstream's framing.
                Ok(frame) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
            }
        }
        self.finished = true;
        Poll::Ready(None)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.beginning.is_empty() && (self.finished || self.body.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let beginning: u64 = self.beginning.iter().map(|chunk| chunk.len() as u64).sum();
        self.body.size_hint().exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(beginning + rest))
    }
}
