//! An answer that is usually at hand and sometimes has to be waited for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The result of asking a part that may be local or remote.
///
/// A local part answers [`Answer::Now`] without allocating; a remote one pays for one box. Traits that return it stay
/// usable as `dyn`.
pub enum Answer<'a, T> {
    /// The value itself, until the future is polled; `None` afterwards.
    Now(Option<T>),
    /// A future that has to be driven.
    Later(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

impl<'a, T> Answer<'a, T> {
    /// An answer that is at hand.
    pub fn now(value: T) -> Self {
        Self::Now(Some(value))
    }

    /// An answer that takes a while.
    pub fn later(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self::Later(Box::pin(future))
    }
}

impl<T: Unpin> Future for Answer<'_, T> {
    type Output = T;

    /// # Panics
    ///
    /// When polled again after it was ready, as futures may.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.get_mut() {
            Self::Now(value) => {
                #[expect(clippy::expect_used, reason = "only a second poll after readiness finds nothing")]
                let value = value.take().expect("polled after it was ready");
                Poll::Ready(value)
            }
            Self::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Answer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Answer::Now",
            Self::Later(_) => "Answer::Later",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn both_kinds_answer() {
        let mut context = Context::from_waker(Waker::noop());
        let mut now = Answer::now(7);
        assert_eq!(Pin::new(&mut now).poll(&mut context), Poll::Ready(7));
        let mut later = Answer::later(async { 8 });
        assert_eq!(Pin::new(&mut later).poll(&mut context), Poll::Ready(8));
    }
}
