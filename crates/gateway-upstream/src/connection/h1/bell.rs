//! Who hears that something happened on a connection.
//!
//! The waker with which a connection is polled has to stay the same while calls come and go: a request that is handed to
//! it would otherwise wake the task of the call before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// The keeper of the pool.
const AT_REST: u8 = 0;
/// The task of the call that holds the connection.
const HELD: u8 = 1;
/// Nobody: that task is running, and looks by itself.
const HUSHED: u8 = 2;
/// The same, and it rang.
const MISSED: u8 = 3;

/// What a connection rings.
#[derive(Debug)]
pub(super) struct Bell {
    heard_by: AtomicU8,
    task: AtomicWaker,
    disturbed: Arc<Notify>,
}

impl Bell {
    pub(super) fn new(disturbed: Arc<Notify>) -> Self {
        Self { heard_by: AtomicU8::new(HUSHED), task: AtomicWaker::new(), disturbed }
    }

    /// From now on this task is woken. Says whether it rang while nobody heard it.
    pub(super) fn ring_for(&self, task: &Waker) -> bool {
        self.task.register(task);
        self.heard_by.swap(HELD, Ordering::AcqRel) == MISSED
    }

    /// From now on nobody is woken.
    pub(super) fn hush(&self) {
        self.heard_by.store(HUSHED, Ordering::Release);
    }

    /// From now on the keeper is woken.
    pub(super) fn rest(&self) {
        self.heard_by.store(AT_REST, Ordering::Release);
        // A task that is over need not be kept in memory.
        drop(self.task.take());
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut heard_by = self.heard_by.load(Ordering::Acquire);
        // Again if somebody began to hear it meanwhile, since they may have looked before this.
        while heard_by == HUSHED {
            match self.heard_by.compare_exchange(HUSHED, MISSED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(changed) => heard_by = changed,
            }
        }
        match heard_by {
            HELD => self.task.wake(),
            AT_REST => self.disturbed.notify_one(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task, and how often it was woken.
    #[derive(Default)]
    struct Task(AtomicU8);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn whoever_holds_it_hears_it() {
        let (task, disturbed) = (Arc::<Task>::default(), Arc::<Notify>::default());
        let bell = Arc::new(Bell::new(Arc::clone(&disturbed)));
        let (ring, waker) = (Waker::from(Arc::clone(&bell)), Waker::from(Arc::clone(&task)));
        let woken = || task.0.load(Ordering::Relaxed);

        assert!(!bell.ring_for(&waker));
        ring.wake_by_ref();
        assert_eq!(woken(), 1);

        bell.hush();
        assert!(!bell.ring_for(&waker), "nothing was missed");
        bell.hush();
        ring.wake_by_ref();
        assert_eq!(woken(), 1, "the task looks by itself");
        assert!(bell.ring_for(&waker), "and is told that it has to");

        bell.rest();
        ring.wake_by_ref();
        assert_eq!(woken(), 1, "the call is over");
        disturbed.notified().await;
    }
}
