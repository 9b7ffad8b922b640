//! A caller's body with its limits on size and silence.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::clock;
use crate::rejection::Rejection;
use crate::service::RequestSource;
use crate::snapshot::BodyLimits;

/// Passes a body on until it is too large or too slow. Trailers stay behind: they are headers that no list lets through.
pub(crate) struct BoundedBody<B> {
    body: B,
    limits: BodyLimits,
    /// How much of it is read for now, in bytes.
    most: u64,
    received: u64,
    /// When as much of it as is read for now has to be here.
    deadline: Option<Instant>,
    /// Made at the first silence, which most bodies do not have.
    silence: Option<Pin<Box<Sleep>>>,
    /// For what `silence` waits since the last part of the body, if it does.
    waiting: Option<Limit>,
}

/// A bound on time.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Idle,
    Total,
}

impl<B> BoundedBody<B> {
    /// Bounds a body.
    pub(crate) fn new(body: B, limits: BodyLimits) -> Self {
        Self { body, limits, most: limits.size, received: 0, deadline: None, silence: None, waiting: None }
    }

    /// Takes a body for too large that has more bytes than this, until [`Self::read_all`].
    pub(crate) fn read_at_most(&mut self, most: u64) {
        self.most = most.min(self.limits.size);
    }

    /// Takes a body for too slow that is not here by then, until [`Self::read_all`].
    pub(crate) fn has_to_end_by(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// Reads as much as may be read at all.
    pub(crate) fn read_all(&mut self) {
        (self.most, self.deadline) = (self.limits.size, None);
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let BodyLimits { idle, total, .. } = self.limits;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(idle)));
        let limit = *self.waiting.get_or_insert_with(|| {
            let silent_until = clock::now() + idle;
            let sooner = self.deadline.filter(|deadline| *deadline < silent_until);
            silence.as_mut().reset(sooner.unwrap_or(silent_until));
            sooner.map_or(Limit::Idle, |_| Limit::Total)
        });
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(Rejection::BodyTimeout { waited: if matches!(limit, Limit::Idle) { idle } else { total } })
    }
}

impl<B: RequestSource> Body for BoundedBody<B> {
    type Data = Bytes;
    type Error = Rejection;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Rejection>>> {
        let this = self.get_mut();
        loop {
            let frame = match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return this.poll_silence(cx).map(|rejection| Some(Err(rejection))),
            };
            this.waiting = None;
            let Some(frame) = frame else { return Poll::Ready(None) };
            let Ok(chunk) = frame.map_err(|_| Rejection::BodyBroken)?.into_data() else { continue };
            this.received += chunk.len() as u64;
            let excess = this.received > this.most;
            let limit = this.limits.size;
            return Poll::Ready(Some(if excess {
                Err(Rejection::BodyTooLarge { limit })
            } else {
                Ok(Frame::data(chunk))
            }));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    const LIMITS: BodyLimits = BodyLimits { size: 4, idle: Duration::from_secs(3), total: Duration::from_mins(1) };

    async fn read<B: RequestSource>(body: B) -> Result<Bytes, Rejection> {
        BoundedBody::new(body, LIMITS).collect().await.map(http_body_util::Collected::to_bytes)
    }

    #[tokio::test]
    async fn the_size_is_counted() {
        assert_eq!(read(Full::from("1234")).await.unwrap(), "1234");
        assert!(matches!(read(Full::from("12345")).await, Err(Rejection::BodyTooLarge { limit: 4 })));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_in_doubt_is_less_until_there_is_none() {
        for (is_lifted, expected) in [(false, 2), (true, 4)] {
            let mut body = BoundedBody::new(async_frames([0, 0, 0, 0]), LIMITS);
            body.read_at_most(2);
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(_) => read += 1,
                    Err(rejection) => assert!(matches!(rejection, Rejection::BodyTooLarge { .. }) && !is_lifted),
                }
                if is_lifted {
                    body.read_all();
                }
            }
            assert_eq!(read, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_body_and_slowness_does_not() {
        let slow = async_frames([2, 2, 2]);
        assert_eq!(read(slow).await.unwrap(), "...");
        let silent = async_frames([2, 4]);
        assert!(matches!(read(silent).await, Err(Rejection::BodyTimeout { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn slowness_ends_the_body_where_it_has_to_end_until_it_has_not() {
        for (is_lifted, expected) in [(false, 2), (true, 4)] {
            let mut body = BoundedBody::new(async_frames([2, 2, 2, 2]), LIMITS);
            body.has_to_end_by(Instant::now() + Duration::from_secs(5));
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(_) => read += 1,
                    Err(rejection) => {
                        assert!(matches!(rejection, Rejection::BodyTimeout { waited } if waited == LIMITS.total));
                        break;
                    }
                }
                if is_lifted {
                    body.read_all();
                }
            }
            assert_eq!(read, expected);
        }
    }

    /// One byte after each of these pauses, in seconds.
    fn async_frames<const N: usize>(pauses: [u64; N]) -> impl RequestSource {
        let frames = futures_util::stream::unfold(pauses.into_iter(), |mut pauses| async move {
            tokio::time::sleep(Duration::from_secs(pauses.next()?)).await;
            Some((Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"."))), pauses))
        });
        StreamBody::new(Box::pin(frames))
    }
}
