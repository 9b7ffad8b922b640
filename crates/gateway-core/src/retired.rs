//! The end of what is no longer in force and what calls under way still have.
//!
//! Whoever lets go of a value last frees it. A large configuration is tens of thousands of allocations, which take many
//! milliseconds, and the last would be a call, on a thread that serves others besides. So a thread of its own holds it as well,
//! looks now and then whether it is alone with it, and frees it then.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;

/// How often the thread looks, while there is anything to wait for.
const PERIOD: Duration = Duration::from_millis(100);

/// Values that nobody can take hold of any more but those who already have. The thread begins with the first of them, and ends
/// with this.
#[derive(Debug)]
pub(crate) struct Retired<T>(OnceLock<Option<Sender<Arc<T>>>>);

impl<T: Send + Sync + 'static> Retired<T> {
    /// Sees to it that a value is not freed by those who still have it.
    pub(crate) fn add(&self, value: Arc<T>) {
        // Where no thread can be had it is.
        if let Some(keeper) = self.0.get_or_init(start) {
            drop(keeper.send(value));
        }
    }
}

impl<T> Default for Retired<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

fn start<T: Send + Sync + 'static>() -> Option<Sender<Arc<T>>> {
    let (keeper, retired) = channel();
    // The name is as long as Linux has room for.
    let thread = Builder::new().name("gateway-retired".to_owned()).spawn(move || keep(&retired));
    thread.is_ok().then_some(keeper)
}

fn keep<T>(retired: &Receiver<Arc<T>>) {
    let mut kept = Vec::new();
    loop {
        let next = if kept.is_empty() { retired.recv().map_err(Into::into) } else { retired.recv_timeout(PERIOD) };
        match next {
            Ok(value) => kept.push(value),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        kept.retain(|value| Arc::strong_count(value) > 1);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{ThreadId, current};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Says when it ends, and where.
    struct Mortal(&'static str, Sender<(&'static str, ThreadId)>);

    impl Drop for Mortal {
        fn drop(&mut self) {
            self.1.send((self.0, current().id())).unwrap();
        }
    }

    #[test]
    fn a_value_ends_with_its_last_user_and_not_in_its_thread() {
        let (ended, ends) = channel();
        let retired = Retired::default();
        let first = Arc::new(Mortal("first", ended.clone()));
        retired.add(Arc::clone(&first));
        retired.add(Arc::new(Mortal("second", ended)));
        let (name, thread) = ends.recv_timeout(PATIENCE).unwrap();
        assert_eq!(name, "second", "the first is in use");
        drop(first);
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), ("first", thread));
        assert_ne!(thread, current().id());
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let (ended, ends) = channel();
        let retired = Retired::default();
        let used = Arc::new(Mortal("used", ended));
        retired.add(Arc::clone(&used));
        drop(retired);
        while Arc::strong_count(&used) > 1 {
            std::thread::yield_now();
        }
        drop(used);
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), ("used", current().id()));
    }
}
