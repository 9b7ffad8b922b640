//! Whether anything can have changed since a stream was last found to have nothing.
//!
//! A server asks a body for more for as long as it has room: hyper does so behind each event, and again when it has written it. Each
//! time the question would go through the decoder, the connection, and the timers, which takes as long as passing an event
//! on. So the upstream and the timers wake an ear, which hands that on to the caller's task, and as long as it has heard nothing there is
//! nothing to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Whether a stream is known to have nothing, and who is woken when that changes.
pub(super) struct Quiet {
    ear: Arc<Ear>,
    /// The ear, as those who wake it know it.
    waker: Waker,
    is_known: bool,
}

/// What the upstream and the timers wake.
#[derive(Default)]
struct Ear {
    has_heard: AtomicBool,
    task: AtomicWaker,
}

impl Quiet {
    pub(super) fn new() -> Self {
        let ear = Arc::<Ear>::default();
        Self { waker: Waker::from(Arc::clone(&ear)), ear, is_known: false }
    }

    /// Whether the stream still has nothing. The task that asks is woken when that changes.
    pub(super) fn lasts(&self, cx: &mut Context<'_>) -> bool {
        // Each time, and before anything is looked at: whoever wakes a task lets go of its waker.
        self.ear.task.register(cx.waker());
        self.is_known && !self.ear.has_heard.load(Ordering::Acquire)
    }

    /// Ends, because the stream is asked. Returns who has to be woken by everything that it waits for.
    pub(super) fn end(&mut self) -> Waker {
        self.is_known = false;
        self.ear.has_heard.swap(false, Ordering::AcqRel);
        self.waker.clone()
    }

    /// Begins, because the stream has nothing, and all that it waits for wakes the ear.
    pub(super) fn begin(&mut self) {
        self.is_known = true;
    }
}

impl Wake for Ear {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken, which looks at it.
        self.has_heard.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn lasts(quiet: &Quiet, task: &Arc<Task>) -> bool {
        quiet.lasts(&mut Context::from_waker(&Waker::from(Arc::clone(task))))
    }

    #[test]
    fn it_lasts_until_something_is_heard() {
        let (mut quiet, task) = (Quiet::new(), Arc::<Task>::default());
        assert!(!lasts(&quiet, &task), "nobody has asked the stream yet");
        let ear = quiet.end();
        assert!(!lasts(&quiet, &task), "nor has it been found to have nothing");
        quiet.begin();
        assert!(lasts(&quiet, &task) && lasts(&quiet, &task));
        ear.wake_by_ref();
        assert!(!lasts(&quiet, &task) && task.0.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn what_is_heard_while_the_stream_is_asked_counts() {
        let (mut quiet, task) = (Quiet::new(), Arc::<Task>::default());
        assert!(!lasts(&quiet, &task));
        let ear = quiet.end();
        ear.wake_by_ref();
        quiet.begin();
        assert!(!lasts(&quiet, &task) && task.0.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn the_task_that_asked_last_is_woken_each_time() {
        let (mut quiet, first, second) = (Quiet::new(), Arc::<Task>::default(), Arc::<Task>::default());
        assert!(!lasts(&quiet, &first));
        let ear = quiet.end();
        quiet.begin();
        assert!(lasts(&quiet, &second));
        ear.wake_by_ref();
        assert!(!lasts(&quiet, &second));
        drop(quiet.end());
        quiet.begin();
        assert!(lasts(&quiet, &second));
        ear.wake_by_ref();
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 2));
    }
}
