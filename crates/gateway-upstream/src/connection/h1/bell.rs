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
        match self.heard_by.load(Ordering::Acquire) {
            HELD => self.task.wake(),
            AT_REST => self.disturbed.notify_one(),
            HUSHED => {
                // Where this fails somebody hears it again, and has looked since or is about to.
                let _ = self.heard_by.compare_exchange(HUSHED, MISSED, Ordering::AcqRel, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}
