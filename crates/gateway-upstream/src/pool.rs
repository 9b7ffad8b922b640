//! The connections of one upstream that are not, or not fully, in use.
//!
//! Idle HTTP/1 connections form a stack: the one used last is the least likely to have been closed by the other side,
//! and those that a falling load no longer needs grow old at the bottom, where they are dropped, whenever the pool is
//! touched. One that its upstream closes meanwhile is dropped at once, by the keeper of the pool.
//!
//! Where each worker has a runtime of its own, a connection stays with the one that opened it: whatever happens on its
//! socket is heard there.
//!
//! HTTP/2 connections are shared for as long as they have a stream to spare. Whether an upstream speaks HTTP/2 is known
//! only after a TLS handshake, so until it is known not to, one call at a time connects and the others wait for what it
//! brings; a burst of calls at start opens one connection then, not hundreds. What it brings may be a failure, which is
//! then theirs as well: an upstream that refuses one connection is not asked for the next by each of them in turn.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::connection::{H1, H2, Link};
use crate::{UpstreamError, UpstreamErrorKind};

/// The connections of one upstream.
#[derive(Debug)]
pub(crate) struct Pool {
    max_idle: usize,
    idle_timeout: Duration,
    contents: Mutex<Contents>,
    /// That something happened to a connection at rest, or to the pool.
    disturbed: Arc<Disturbed>,
    /// Notes it.
    waker: Waker,
}

#[derive(Debug)]
struct Contents {
    /// Oldest first.
    idle: VecDeque<Idle>,
    shared: Vec<Arc<H2>>,
    /// Whether the next connection may turn out to be one that can be shared.
    may_share: bool,
    /// The connection that one call is opening for all.
    dialed: Option<Dialed>,
    has_keeper: bool,
}

#[derive(Debug)]
struct Idle {
    connection: H1,
    since: Instant,
}

/// What connections at rest wake.
#[derive(Debug, Default)]
struct Disturbed(Notify);

impl Wake for Disturbed {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// What a call has to do for a connection.
#[derive(Debug)]
pub(crate) enum Checkout {
    /// Use this one.
    Ready(Link),
    /// Open one. The others wait for as long as the value lives, where there is one.
    Dial(Option<Dialing>),
    /// Wait for the one that another call is opening; it may be shared.
    Wait(Dialed),
}

/// The right, and the duty, to open a connection on behalf of all who wait. Dropping it wakes them: they look into the
/// pool, and if nothing came of it, as when the call ran out of its own time, one of them takes over.
#[derive(Debug)]
pub(crate) struct Dialing {
    pool: Arc<Pool>,
    failure: watch::Sender<Option<UpstreamErrorKind>>,
}

impl Dialing {
    /// Fails all who wait: what the upstream did to this connection it would do to theirs.
    pub(crate) fn fail(self, kind: UpstreamErrorKind) {
        self.failure.send_replace(Some(kind));
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        // Before the sender goes, which is what wakes them.
        self.pool.contents.lock().dialed = None;
    }
}

/// A connection that another call is opening.
#[derive(Debug, Clone)]
pub(crate) struct Dialed(watch::Receiver<Option<UpstreamErrorKind>>);

impl Dialed {
    /// Waits until it is in the pool, was given up, or has failed; only the last is an error.
    pub(crate) async fn ended(mut self) -> Result<(), UpstreamError> {
        let failure = self.0.wait_for(Option::is_some).await.ok().and_then(|failure| *failure);
        failure.map_or(Ok(()), |kind| Err(UpstreamError::new(kind)))
    }
}

impl Pool {
    /// An empty pool. `may_share` says whether the upstream may choose HTTP/2.
    pub(crate) fn new(max_idle: usize, idle_timeout: Duration, may_share: bool) -> Self {
        let contents =
            Contents { idle: VecDeque::new(), shared: Vec::new(), may_share, dialed: None, has_keeper: false };
        let disturbed = Arc::<Disturbed>::default();
        let waker = Waker::from(Arc::clone(&disturbed));
        Self { max_idle, idle_timeout, contents: Mutex::new(contents), disturbed, waker }
    }

    /// A connection that can be used at once.
    pub(crate) fn take_ready(&self, now: Instant) -> Option<Link> {
        let mut contents = self.contents.lock();
        contents.reap(now, self.idle_timeout, self.max_idle);
        contents.take_ready(Handle::current().id(), &self.waker)
    }

    /// A connection that can be used at once, or what to do instead.
    pub(crate) fn checkout(self: &Arc<Self>) -> Checkout {
        let mut contents = self.contents.lock();
        if let Some(link) = contents.take_ready(Handle::current().id(), &self.waker) {
            return Checkout::Ready(link);
        }
        if !contents.may_share {
            return Checkout::Dial(None);
        }
        if let Some(dialed) = &contents.dialed {
            return Checkout::Wait(dialed.clone());
        }
        let (failure, failed) = watch::channel(None);
        contents.dialed = Some(Dialed(failed));
        Checkout::Dial(Some(Dialing { pool: Arc::clone(self), failure }))
    }

    /// Takes a connection back whose exchange is complete.
    pub(crate) fn put_back(self: &Arc<Self>, mut connection: H1, now: Instant) {
        // From within, so that whatever happens to it from now on finds it here.
        let mut contents = self.contents.lock();
        if !connection.is_clean() || !connection.is_quiet(&self.waker) {
            return;
        }
        connection.alarm.wake_nobody();
        contents.idle.push_back(Idle { connection, since: now });
        contents.reap(now, self.idle_timeout, self.max_idle);
        if !contents.has_keeper {
            contents.has_keeper = true;
            tokio::spawn(keep(Keeping(Arc::downgrade(self)), Arc::clone(&self.disturbed)));
        }
    }

    /// Offers a connection to all calls.
    pub(crate) fn share(&self, connection: Arc<H2>) {
        let mut contents = self.contents.lock();
        contents.may_share = true;
        contents.shared.push(connection);
    }

    /// Notes that the upstream chose HTTP/1.1, so that nobody waits for another call's connection any more.
    pub(crate) fn stop_sharing(&self) {
        self.contents.lock().may_share = false;
    }
}

impl Contents {
    /// The connection used last of those that live in this runtime. Streams of a shared one can be used in any.
    fn take_ready(&mut self, home: Id, waker: &Waker) -> Option<Link> {
        while let Some(newest) = self.idle.iter().rposition(|idle| idle.connection.home() == home) {
            let Idle { connection, .. } = self.idle.remove(newest)?;
            if connection.is_quiet(waker) {
                return Some(Link::H1(connection));
            }
        }
        self.shared.iter().find_map(H2::claim).map(Link::H2)
    }

    /// Drops what is closed, too old or too much.
    fn reap(&mut self, now: Instant, idle_timeout: Duration, max_idle: usize) {
        let is_old = |since: Instant| now.saturating_duration_since(since) >= idle_timeout;
        while let Some(oldest) = self.idle.front()
            && (self.idle.len() > max_idle || is_old(oldest.since))
        {
            self.idle.pop_front();
        }
        let mut unused = 0;
        self.shared.retain(|connection| {
            let Some(since) = connection.idle_since() else { return !connection.is_closed() };
            unused += 1;
            !connection.is_closed() && unused <= max_idle && !is_old(since)
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.disturbed.0.notify_one();
    }
}

/// The keeper's place, which becomes free when the keeper's runtime ends before the pool.
struct Keeping(Weak<Pool>);

impl Drop for Keeping {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.contents.lock().has_keeper = false;
        }
    }
}

/// Drops connections at rest that their upstream has closed, until the pool is gone.
async fn keep(keeping: Keeping, disturbed: Arc<Disturbed>) {
    loop {
        disturbed.0.notified().await;
        let Some(pool) = keeping.0.upgrade() else { return };
        pool.contents.lock().idle.retain(|idle| idle.connection.is_quiet(&pool.waker));
    }
}
