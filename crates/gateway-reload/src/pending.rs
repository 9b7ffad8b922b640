//! What the system says about files, from its thread to the task that waits for it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Events since they were last looked at, in two bits: nothing is queued, whatever happens.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The entries that matter. A working directory has others, which change all the time.
    entries: Mutex<HashSet<PathBuf>>,
    seen: Mutex<Seen>,
    wake: Notify,
}

/// What was heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Something happened.
    pub(crate) is_stirred: bool,
    /// The last thing that happened is part of something that is not over: a file is being written.
    pub(crate) is_writing: bool,
}

impl Pending {
    /// Sets which entries matter from now on.
    pub(crate) fn set_entries(&self, entries: HashSet<PathBuf>) {
        *self.entries.lock() = entries;
    }

    /// Takes note of an event.
    pub(crate) fn note(&self, event: &notify::Result<Event>) {
        let is_writing = match event {
            // Events were lost, or the watch was: whatever it was, it is time to look.
            Err(_) => false,
            Ok(event) if event.need_rescan() => false,
            Ok(event) if !self.concerns(event) => return,
            Ok(event) => match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Remove(_) => false,
                // Nobody closes a link.
                EventKind::Create(_) => event.paths.iter().any(|path| is_plain_file(path)),
                // Followed by the event that its writer has closed it, unless it is a system that has no such event.
                EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => true,
                _ => return,
            },
        };
        *self.seen.lock() = Seen { is_stirred: true, is_writing };
        self.wake.notify_one();
    }

    fn concerns(&self, event: &Event) -> bool {
        let entries = self.entries.lock();
        event.paths.iter().any(|path| entries.contains(path))
    }

    /// Waits until something has happened since the last time.
    pub(crate) async fn stirred(&self) {
        self.wake.notified().await;
    }

    /// Takes what was heard since the last time. That something is being written stays.
    pub(crate) fn take(&self) -> Seen {
        let mut seen = self.seen.lock();
        let heard = *seen;
        seen.is_stirred = false;
        heard
    }

    /// Forgets that something is being written, if nobody says that it is over.
    pub(crate) fn give_up_on_writer(&self) {
        self.seen.lock().is_writing = false;
    }
}

fn is_plain_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}
