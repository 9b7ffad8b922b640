//! The limit store: which way a call goes.

use std::sync::Arc;

use gateway_extension::Answer;
use gateway_ratelimit::{Demand, Denial, LimitStore, Limits, Moment, Reservation, Spend, SpendBook, Standing, Used};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::connection::RedisStatus;
use crate::keeper::Keeper;
use crate::node::Node;
use crate::request::Request;
use crate::settings::{RedisSettings, RedisSettingsError};
use crate::thread::RedisThread;

/// Limits that all gateways on one Redis share.
///
/// Dropping it ends its thread at once; [`RedisLimits::close`] lets it finish.
#[derive(Debug)]
pub struct RedisLimits {
    node: Arc<Node>,
    thread: Mutex<Option<RedisThread>>,
}

impl RedisLimits {
    /// Connects, and keeps connected from then on, on a thread of its own. Waits for the first attempt, about a second at
    /// most; that it fails is no error, but noted in the log, and decisions are made without Redis until there is a
    /// connection.
    ///
    /// An error says that the settings make no sense, or that there can be no more threads.
    pub async fn connect(settings: RedisSettings) -> Result<Self, RedisSettingsError> {
        let node = Arc::new(Node::new(settings)?);
        let keeper = Keeper::new(Arc::clone(&node));
        let (connect, connected) = oneshot::channel();
        let thread = RedisThread::start(move |stopping| keeper.run(connect, stopping)).await;
        let thread = thread.map_err(|error| RedisSettingsError::Thread(error.kind()))?;
        // An error says that the thread has ended, and then there is no connection.
        let _ = connected.await;
        Ok(Self { node, thread: Mutex::new(Some(thread)) })
    }

    /// Whether Redis answers.
    pub fn status(&self) -> RedisStatus {
        self.node.link.status()
    }

    /// How many gateways share the limits, as far as is known; this one is counted. For tests.
    #[doc(hidden)]
    pub fn nodes(&self) -> u32 {
        self.node.alone.nodes()
    }

    /// Forgets accounts of which nothing is spent and nothing is under way; once a minute is plenty. Redis forgets by
    /// itself.
    pub fn sweep(&self, at: Moment) {
        self.node.sweep(at);
    }

    /// Tells Redis what it does not know yet, for two seconds at most, and disconnects. To be called when all calls have
    /// ended; what is decided later is decided without Redis.
    pub async fn close(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.stop().await;
        }
    }
}

impl LimitStore for RedisLimits {
    fn reserve<'a>(
        &'a self,
        key: &'a Arc<str>,
        limits: &'a Arc<Limits>,
        demand: Demand,
        at: Moment,
    ) -> Answer<'a, Result<Reservation, Denial>> {
        if limits.is_blocked()
            && let Err(denial) = Standing::unspent(limits, demand).check(at.wall)
        {
            return Answer::now(Err(denial));
        }
        let request = Request { key, limits, demand, at };
        match self.node.link.session() {
            Some(session) => Answer::later(self.node.reserve(session, request)),
            None => Answer::now(self.node.reserve_alone(request)),
        }
    }

    fn check(&self, key: &Arc<str>, limits: &Arc<Limits>, at: Moment) -> Result<(), Denial> {
        if limits.is_blocked() {
            return Standing::unspent(limits, Demand::default()).check(at.wall);
        }
        match self.node.link.session() {
            Some(_) => self.node.refusals.check(key, limits, at.now),
            None => self.node.check_alone(),
        }
    }

    fn settle(&self, reservation: Reservation, used: Used, at: Moment) {
        self.node.settle(reservation, used, at);
    }
}

impl SpendBook for RedisLimits {
    fn take_unrecorded(&self) -> Vec<Spend> {
        self.node.alone.local.take_unrecorded()
    }

    fn put_back(&self, unrecorded: Vec<Spend>) {
        self.node.alone.local.put_back(unrecorded);
    }

    fn note_totals(&self, totals: &[Spend]) {
        self.node.alone.local.note_totals(totals);
    }
}
