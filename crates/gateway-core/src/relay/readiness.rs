//! Whether anything can have changed since a stream was last found to have nothing.
//!
//! A server asks a body for more for as long as it has room: hyper does so behind each event, and again when it has written it. Each
//! time the question would go through the decoder, the connection, and the timers, which takes as long as passing an event
//! on. So the upstream and the timers wake a flag, which wakes the caller's task in turn, and as long as the flag is not set
//! there is nothing to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Whether a stream is known to have nothing, and who is woken when that changes.
pub(super) struct Readiness {
    flag: Arc<WakeFlag>,
    /// The flag, as those who wake it know it.
    waker: Waker,
    was_pending: bool,
}

/// What the upstream and the timers wake.
#[derive(Default)]
struct WakeFlag {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Readiness {
    /// That of a stream that was not asked yet.
    pub(super) fn new() -> Self {
        let flag = Arc::<WakeFlag>::default();
        Self { waker: Waker::from(Arc::clone(&flag)), flag, was_pending: false }
    }

    /// Whether the stream still has nothing. The task that asks is woken when that changes.
    pub(super) fn is_still_pending(&self, cx: &mut Context<'_>) -> bool {
        // Each time, and before anything is looked at: whoever wakes a task lets go of its waker.
        self.flag.task.register(cx.waker());
        self.was_pending && !self.flag.is_woken.load(Ordering::Acquire)
    }

    /// Forgets what has been, because the stream is polled. Returns what everything has to wake that it waits for.
    pub(super) fn clear(&mut self) -> Waker {
        self.was_pending = false;
        // A swap, so that the poll that follows sees what was done before the wake that is forgotten here.
        self.flag.is_woken.swap(false, Ordering::AcqRel);
        self.waker.clone()
    }

    /// Notes that the stream has nothing. Only after a poll since [`clear`](Self::clear) in which all that it waits for was pending
    /// with that waker, or has it from before and is yet to wake it.
    pub(super) fn note_pending(&mut self) {
        self.was_pending = true;
    }
}

impl Drop for Readiness {
    /// A connection that rests keeps the waker of the last wait on it, and need not keep the whole task.
    fn drop(&mut self) {
        drop(self.flag.task.take());
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken, which looks at it.
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn is_still_pending(readiness: &Readiness, task: &Arc<Task>) -> bool {
        readiness.is_still_pending(&mut Context::from_waker(&Waker::from(Arc::clone(task))))
    }

    #[test]
    fn a_stream_is_pending_until_it_is_woken() {
        let (mut readiness, task) = (Readiness::new(), Arc::<Task>::default());
        assert!(!is_still_pending(&readiness, &task), "nobody has asked the stream yet");
        let waker = readiness.clear();
        assert!(!is_still_pending(&readiness, &task), "nor has it been found to have nothing");
        readiness.note_pending();
        assert!(is_still_pending(&readiness, &task) && is_still_pending(&readiness, &task));
        waker.wake_by_ref();
        assert!(!is_still_pending(&readiness, &task) && task.0.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn a_wake_while_the_stream_is_polled_counts() {
        let (mut readiness, task) = (Readiness::new(), Arc::<Task>::default());
        assert!(!is_still_pending(&readiness, &task));
        readiness.clear().wake();
        readiness.note_pending();
        assert!(!is_still_pending(&readiness, &task) && task.0.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn the_task_that_asked_last_is_woken_each_time() {
        let (mut readiness, first, second) = (Readiness::new(), Arc::<Task>::default(), Arc::<Task>::default());
        assert!(!is_still_pending(&readiness, &first));
        let waker = readiness.clear();
        readiness.note_pending();
        assert!(is_still_pending(&readiness, &second));
        waker.wake_by_ref();
        assert!(!is_still_pending(&readiness, &second));
        drop(readiness.clear());
        readiness.note_pending();
        assert!(is_still_pending(&readiness, &second));
        waker.wake_by_ref();
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 2));
    }

    #[test]
    fn who_has_gone_is_not_held_on_to() {
        let (mut readiness, task) = (Readiness::new(), Arc::<Task>::default());
        assert!(!is_still_pending(&readiness, &task));
        let waker = readiness.clear();
        drop(readiness);
        assert_eq!(Arc::strong_count(&task), 1);
        waker.wake();
    }

    /// Wakes this thread.
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// A source that another thread fills, polled as a stream is: it ends only if no wake is lost.
    #[test]
    fn no_wake_is_lost_between_threads() {
        const ALL: usize = 20_000;
        let source = Arc::new((AtomicUsize::new(0), AtomicWaker::new()));
        let filling = Arc::clone(&source);
        let filler = thread::spawn(move || {
            for _ in 0..ALL {
                filling.0.fetch_add(1, Ordering::Release);
                filling.1.wake();
                if fastrand::bool() {
                    thread::yield_now();
                }
            }
        });
        let task = Waker::from(Arc::new(Unpark(thread::current())));
        let (mut readiness, mut seen) = (Readiness::new(), 0);
        while seen < ALL {
            if readiness.is_still_pending(&mut Context::from_waker(&task)) {
                thread::park();
                continue;
            }
            let waker = readiness.clear();
            source.1.register(&waker);
            let present = source.0.load(Ordering::Acquire);
            if present == seen {
                readiness.note_pending();
            }
            seen = present;
        }
        filler.join().unwrap();
    }
}
