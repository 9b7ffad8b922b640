//! Keeps memory in step with a store, whatever becomes of the store.
//!
//! Two tasks. One follows the feed: what has changed is put into the directory, told to who reads providers and models, and
//! put into the snapshot, with which the next start can do without the store; when the store cannot be reached the directory
//! is told so, keeps what it has, and the store is tried again for ever. The other keeps the books: what was spent and what
//! was used. Neither can hold up the other, and no call waits for one of them.

mod books;
mod feed;

use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use gateway_keystore::{Changes, KeyDirectory, Position, StoreError, StoredSettings, Version};
use gateway_ratelimit::SpendBook;
use gateway_secret::KeyDigester;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use self::books::Books;
use self::feed::Feed;
use crate::snapshot::{LastGood, Snapshot, Wanted};
use crate::vault::Sealing;
use crate::{Backend, Misplaced};

/// How long a change that this node made may take to be seen by it.
const REFRESH: Duration = Duration::from_secs(2);
/// How long a stopping node may take to write what is left to write.
const FAREWELL: Duration = Duration::from_secs(5);

/// Follows a store. Dropping it stops at once, and what was spent in the last second goes unrecorded; see
/// [`Follower::stop`].
pub struct Follower {
    status: watch::Sender<FollowerStatus>,
    hurry: Arc<Notify>,
    stopping: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    backend: Arc<dyn Backend>,
    snapshot: Option<Arc<Snapshot>>,
}

/// Who is told of the providers and models of a store.
pub trait SettingsBook: Send + Sync {
    /// Takes all of them, as they are now. May take its time, but until it returns this node does not see later changes;
    /// who waits for a change to be visible waits for this.
    fn take(&self, settings: StoredSettings);
}

/// How the following goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FollowerStatus {
    /// Whether the store answered when it was last asked.
    pub is_reachable: bool,
    /// Where the keys in memory are from.
    pub loaded_from: LoadedFrom,
    /// Which state of the store they are. Providers and models were handed on before this is set, so whoever reads it finds
    /// them at this state or a later one.
    pub position: Position,
    /// Why the store did not answer, without secrets; none while it does.
    pub last_error: Option<String>,
    /// Whether it will not answer before somebody sees to it.
    pub needs_attention: bool,
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
    /// Who is told of providers and models: when they are first read, from the store or from the last good state, and
    /// whenever one of them has changed.
    pub settings: Arc<dyn SettingsBook>,
    /// Who knows what was spent.
    pub spending: Arc<dyn SpendBook>,
    /// Where the last good state is kept; none keeps none.
    pub snapshot: Option<PathBuf>,
    /// What the lines of the last good state are checked with.
    pub digester: KeyDigester,
    /// What to do about a store that is damaged, for people: names what it is kept in.
    pub remedy: String,
}

impl Follower {
    /// Brings the store's tables up to date, reads everything, and follows from then on.
    ///
    /// A store that cannot be reached is no error: the snapshot stands in for it, if there is one, and it is tried for
    /// ever. A store that is damaged or cannot be used (see [`Misplaced`]) is an error if there is no snapshot, because
    /// without anybody's help it would never serve a key. A store that is too new is one in any case: to go on would be to
    /// serve keys that were revoked long ago.
    pub async fn start(following: Following) -> Result<Self, StoreError> {
        let status = watch::Sender::new(FollowerStatus::default());
        let hurry = Arc::new(Notify::new());
        let stopping = watch::Sender::new(false);
        let snapshot = following.last_good();
        let mut feed = Feed::new(&following, status.clone());
        let mut books = Books::new(&following, snapshot.clone(), status.clone(), stopping.subscribe());
        let read = feed.catch_up().await;
        let last_good = match &snapshot {
            Some(snapshot) => last_good(Arc::clone(snapshot), read.as_ref().ok()).await,
            None => None,
        };
        let spending = Arc::clone(&following.spending);
        let put_back = |last_good: &LastGood| spending.put_back(last_good.unrecorded.clone());
        match (read, last_good) {
            (Ok(everything), last_good) => {
                last_good.iter().for_each(put_back);
                books.read_totals().await;
                if let Some(snapshot) = &snapshot
                    && snapshot.meet(&everything)
                {
                    books.write_first(everything);
                }
            }
            (Err(error @ StoreError::TooNew { .. }), _) => return Err(error),
            (Err(error), Some(last_good)) => {
                put_back(&last_good);
                feed.lose(&error);
                following.spending.note_totals(&last_good.recorded);
                if let Some(everything) = last_good.everything {
                    feed.stand_in(everything).await?;
                }
            }
            (Err(error), None) if needs_attention(&error) => return Err(error),
            (Err(error), None) => {
                feed.lose(&error);
                tracing::warn!("there is no last good state either; no key is known until the store answers");
            }
        }
        feed.snapshot_to(snapshot.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(feed.follow(Arc::clone(&hurry), stopping.subscribe()));
        tasks.spawn(books.keep());
        Ok(Self { status, hurry, stopping, tasks: Mutex::new(tasks), backend: following.backend, snapshot })
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
    pub async fn wait_until_visible(&self, version: Version) -> bool {
        self.see(|position| position.version >= version).await
    }

    /// Returns when this node is at a state of the store other than this, be it later or, if the store was put back, earlier;
    /// or two seconds later; and which of the two.
    pub async fn wait_until_not_at(&self, position: &Position) -> bool {
        self.see(|seen| seen != position).await
    }

    async fn see(&self, wanted: impl Fn(&Position) -> bool) -> bool {
        let is_seen = |status: &FollowerStatus| {
            status.is_reachable && status.loaded_from == LoadedFrom::Store && wanted(&status.position)
        };
        if is_seen(&self.status.borrow()) {
            return true;
        }
        self.hurry.notify_one();
        timeout(REFRESH, self.until(is_seen)).await.is_ok()
    }

    /// Whether the last good state could not be written the last time.
    pub fn is_snapshot_failing(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_failing())
    }

    /// Whether the store refused the last write, though it can be reached.
    pub fn is_store_refusing(&self) -> bool {
        self.backend.is_refusing()
    }

    /// Returns when following has ended without being told to, and why: nothing that is revoked would be noticed any more.
    pub async fn failed(&self) -> String {
        let ended = poll_fn(|context| match self.tasks.lock().poll_join_next(context) {
            // They were taken away to be stopped.
            Poll::Ready(None) => Poll::Pending,
            other => other,
        });
        match ended.await {
            Some(Err(error)) => format!("what follows the store has failed: {error}"),
            _ => "what follows the store has ended".to_owned(),
        }
    }

    /// Writes what is left to write, within a few seconds, stops, and closes the store.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        // A task that has not ended by then is ended when the tasks are dropped.
        let _ = timeout(FAREWELL, async { while tasks.join_next().await.is_some() {} }).await;
        drop(tasks);
        if let Some(snapshot) = &self.snapshot {
            snapshot.release();
        }
        self.backend.close().await;
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}

impl Following {
    fn last_good(&self) -> Option<Arc<Snapshot>> {
        let (path, digester) = (self.snapshot.clone()?, self.digester.clone());
        let sealing = Sealing::new(self.backend.vault());
        Some(Arc::new(Snapshot::new(path, digester, self.backend.place(), sealing)))
    }
}

/// What was written when the store was last seen; no keys and no settings if the store itself could be read. Whatever cannot
/// be believed is left for who can mend it, until the store can be read.
async fn last_good(snapshot: Arc<Snapshot>, read: Option<&Changes>) -> Option<LastGood> {
    let path = snapshot.path().to_owned();
    let followed = read.map(|changes| changes.position.clone());
    let wanted = if followed.is_some() { Wanted::Spending } else { Wanted::Everything };
    let found = spawn_blocking(move || snapshot.read(wanted, followed.as_ref())).await;
    match found.unwrap_or_else(|error| Err(error.into())) {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "the last good state cannot be read");
            None
        }
    }
}

/// Whether a store stays as it is until somebody sees to it.
fn needs_attention(error: &StoreError) -> bool {
    match error {
        StoreError::Damaged { .. } | StoreError::TooNew { .. } => true,
        StoreError::Unavailable { source } => source.is::<Misplaced>(),
        _ => false,
    }
}
