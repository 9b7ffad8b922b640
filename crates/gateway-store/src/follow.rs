//! Keeps memory in step with a store, whatever becomes of the store.
//!
//! Two tasks. One follows the feed: what has changed is put into the directory, and when the store cannot be reached the
//! directory is told so, keeps what it has, and the store is tried again for ever. The other keeps the books: what was
//! spent, what was used, and the snapshot from which the next start can do without the store. Neither can hold up the
//! other, and none of them is waited for by a call.

mod books;
mod feed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{KeyDirectory, StoreError, Version};
use gateway_ratelimit::SpendBook;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::books::Books;
use self::feed::Feed;
use crate::{Backend, snapshot};

/// How long a change that this node made may take to be seen by it.
const REFRESH: Duration = Duration::from_secs(2);
/// How long a stopping node may take to write what is left to write.
const FAREWELL: Duration = Duration::from_secs(5);

/// Follows a store. Dropping it stops at once, and what was spent in the last second goes unrecorded; see
/// [`Follower::stop`].
#[derive(Debug)]
pub struct Follower {
    status: watch::Sender<FollowerStatus>,
    hurry: Arc<Notify>,
    stopping: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

/// How the following goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FollowerStatus {
    /// Whether the store answered when it was last asked.
    pub is_reachable: bool,
    /// Where the keys in memory are from.
    pub loaded_from: LoadedFrom,
    /// Which state of the store they are.
    pub version: Version,
    /// Why the store did not answer, without secrets; none while it does.
    pub last_error: Option<String>,
}

/// Where keys are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadedFrom {
    /// There are none yet.
    #[default]
    Nothing,
    /// The file that was written when the store was last seen.
    Snapshot,
    /// The store.
    Store,
}

/// What a follower brings together.
pub struct Following {
    /// Who is followed.
    pub backend: Arc<dyn Backend>,
    /// Who is kept in step.
    pub directory: Arc<KeyDirectory>,
    /// Who knows what was spent.
    pub spending: Arc<dyn SpendBook>,
    /// Where the last good state is kept; none keeps none.
    pub snapshot: Option<PathBuf>,
}

impl Follower {
    /// Brings the store's tables up to date, reads everything, and follows from then on.
    ///
    /// A store that cannot be reached is no error: the snapshot stands in for it, if there is one, and it is tried for
    /// ever. A store that is too new or damaged is one: to go on would be to serve without most of the keys, or with keys
    /// that were revoked long ago.
    pub async fn start(following: Following) -> Result<Self, StoreError> {
        let Following { backend, directory, spending, snapshot } = following;
        let status = watch::Sender::new(FollowerStatus::default());
        let hurry = Arc::new(Notify::new());
        let stopping = watch::Sender::new(false);
        let mut feed = Feed::new(Arc::clone(&backend), Arc::clone(&directory), status.clone());
        let mut books = Books::new(backend, directory, spending, status.clone());
        match feed.catch_up().await {
            Ok(()) => books.read_totals().await,
            Err(error @ (StoreError::TooNew { .. } | StoreError::Damaged { .. })) => return Err(error),
            Err(error) => {
                feed.lose(&error);
                if let Some(path) = &snapshot {
                    feed.stand_in(path).await;
                }
            }
        }
        books.snapshot_to(snapshot);
        let mut tasks = JoinSet::new();
        tasks.spawn(feed.follow(Arc::clone(&hurry), stopping.subscribe()));
        tasks.spawn(books.keep(stopping.subscribe()));
        Ok(Self { status, hurry, stopping, tasks: Mutex::new(tasks) })
    }

    /// How it goes at the moment.
    pub fn status(&self) -> FollowerStatus {
        self.status.borrow().clone()
    }

    /// Returns when it goes as wanted, which may be at once or never.
    pub async fn until(&self, wanted: impl FnMut(&FollowerStatus) -> bool) {
        // The channel stays open as long as this does.
        let _ = self.status.subscribe().wait_for(wanted).await;
    }

    /// Returns when there are keys in memory, from the store or the snapshot.
    pub async fn ready(&self) {
        self.until(|status| status.loaded_from != LoadedFrom::Nothing).await;
    }

    /// Returns when this node has seen a version of the store, or two seconds later; and which of the two.
    pub async fn refresh(&self, version: Version) -> bool {
        let is_seen = |status: &FollowerStatus| status.loaded_from == LoadedFrom::Store && status.version >= version;
        if is_seen(&self.status.borrow()) {
            return true;
        }
        self.hurry.notify_one();
        timeout(REFRESH, self.until(is_seen)).await.is_ok()
    }

    /// Writes what is left to write, within a few seconds, and stops.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        // Who does not end in time is ended when the tasks are dropped.
        let _ = timeout(FAREWELL, async { while tasks.join_next().await.is_some() {} }).await;
    }
}

/// An error with its cause, for people. Drivers say themselves what they were told, so one cause is enough.
fn told(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
