//! Whether there is a connection to Redis, and who is told when that changes.
//!
//! There is one connection, which all calls share: their questions are pipelined, and Redis answers them in turn. Whoever
//! gets an error gives the connection up for all, so that nobody else waits for it, and so does the background task if there
//! is no answer in time; it then makes a new one.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::loss::Loss;
use crate::settings::OnError;

/// How long a new connection may take, with TLS and the password.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// So many questions may be on their way to the connection, so that none waits for room.
const QUESTIONS: usize = 1 << 16;

/// Whether Redis answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisStatus {
    /// It does.
    Reachable,
    /// It has not since then.
    Unreachable {
        /// When it was first missed.
        since: Instant,
    },
}

/// The connection, if there is one.
#[derive(Debug)]
pub(crate) struct Link {
    state: RwLock<State<Session>>,
    on_error: OnError,
    clock: Mutex<Option<ClockReading>>,
}

/// A connection that does not hold is not told of: whoever reads the log learns of one loss and of one return, however often
/// it came and went between.
#[derive(Debug)]
struct State<S> {
    session: Option<Arc<S>>,
    /// Since when Redis is missed, if it is, or the log still says so.
    missed_since: Instant,
    is_told_missing: bool,
}

/// A connection, from when it is made until it is given up.
#[derive(Debug)]
pub(crate) struct Session {
    connection: MultiplexedConnection,
    began: Instant,
    /// Told when somebody has waited for an answer for long.
    pub(crate) doubted: Notify,
    has_ended: watch::Sender<bool>,
    /// That of the thread that the connection is on.
    runtime: Handle,
}

/// What Redis's clock said, and when that was heard.
#[derive(Debug, Clone, Copy)]
struct ClockReading {
    micros: u64,
    heard: Instant,
}

impl<S> State<S> {
    fn new() -> Self {
        Self { session: None, missed_since: Instant::now(), is_told_missing: false }
    }

    fn is_of(&self, session: &Arc<S>) -> bool {
        self.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session))
    }

    /// Goes on without a connection. True: that is news.
    fn miss(&mut self) -> bool {
        if self.session.take().is_some() && !self.is_told_missing {
            self.missed_since = Instant::now();
        }
        !std::mem::replace(&mut self.is_told_missing, true)
    }

    /// Takes the connection for a good one. If that is news, how long there was none.
    fn hold(&mut self) -> Option<Duration> {
        std::mem::take(&mut self.is_told_missing).then(|| self.missed_since.elapsed())
    }
}

impl Link {
    pub(crate) fn new(on_error: OnError) -> Self {
        Self { state: RwLock::new(State::new()), on_error, clock: Mutex::new(None) }
    }

    /// The connection, if there is one.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.state.read().session.clone()
    }

    pub(crate) fn status(&self) -> RedisStatus {
        let state = self.state.read();
        match state.session {
            Some(_) => RedisStatus::Reachable,
            None => RedisStatus::Unreachable { since: state.missed_since },
        }
    }

    /// Has everybody use a connection from now on.
    pub(crate) fn establish(&self, session: Session) {
        self.state.write().session = Some(Arc::new(session));
    }

    /// Says that Redis is back, if it was missed and this connection is still in use.
    pub(crate) fn announce(&self, session: &Arc<Session>) {
        let mut state = self.state.write();
        let missing_for = if state.is_of(session) { state.hold() } else { None };
        drop(state);
        if let Some(missing_for) = missing_for {
            info!(?missing_for, "Redis answers again: limits are enforced for all nodes together");
        }
    }

    /// Gives up a connection, unless that has happened already.
    pub(crate) fn lose(&self, session: &Arc<Session>, loss: &Loss) {
        let mut state = self.state.write();
        if !state.is_of(session) {
            return;
        }
        let is_news = state.miss();
        drop(state);
        if is_news {
            self.warn(loss);
        }
        session.end();
    }

    /// Gives up the connection for good.
    pub(crate) fn close(&self) {
        let mut state = self.state.write();
        let session = state.session.take();
        state.miss();
        drop(state);
        if let Some(session) = session {
            session.end();
        }
    }

    /// Notes that there is still no connection.
    pub(crate) fn miss(&self, loss: &Loss) {
        if self.state.write().miss() {
            self.warn(loss);
        }
    }

    fn warn(&self, loss: &Loss) {
        let reason = loss.reason();
        match self.on_error {
            OnError::Local => warn!(reason, "Redis does not answer: this node decides by itself until it does"),
            OnError::Deny => warn!(reason, "Redis does not answer: calls with limits are refused until it does"),
        }
    }

    /// Notes what Redis's clock says.
    pub(crate) fn note_clock(&self, micros: u64) {
        *self.clock.lock() = Some(ClockReading { micros, heard: Instant::now() });
    }

    /// Whether anybody has heard anything of Redis since then.
    pub(crate) fn was_heard_since(&self, since: Instant) -> bool {
        self.clock.lock().is_some_and(|reading| reading.heard >= since)
    }

    /// What Redis's clock will say in a while, at the earliest: an answer is heard later than it was given. None if it has
    /// never been heard.
    pub(crate) fn clock_in(&self, wait: Duration) -> Option<u64> {
        let reading = (*self.clock.lock())?;
        let micros = (reading.heard.elapsed() + wait).as_micros();
        Some(reading.micros.saturating_add(u64::try_from(micros).unwrap_or(u64::MAX)))
    }
}

impl Session {
    /// Connects and authenticates.
    pub(crate) async fn open(client: &Client) -> Result<Self, Loss> {
        // Whoever asks waits for as long as it sees fit, so the connection sets no time of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUESTIONS);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        let connection = connection.map_err(Loss::while_connecting)?;
        let (doubted, has_ended) = (Notify::new(), watch::Sender::new(false));
        Ok(Self { connection, began: Instant::now(), doubted, has_ended, runtime: Handle::current() })
    }

    /// The connection, to send one command or pipeline with.
    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Does something on the thread of the connection.
    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.spawn(task)
    }

    /// Returns when it is given up.
    pub(crate) async fn ended(&self) {
        // An error would say that the sender is gone, which is here.
        let _ = self.has_ended.subscribe().wait_for(|has_ended| *has_ended).await;
    }

    fn end(&self) {
        self.has_ended.send_replace(true);
    }

    /// How long it has been in use.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_is_told_once() {
        let mut state = State::new();
        let connect = |state: &mut State<()>| state.session = Some(Arc::new(()));
        assert!(state.miss(), "not there at the start");
        assert!(!state.miss());
        for _ in 0..3 {
            connect(&mut state);
            assert!(!state.miss(), "a connection that did not hold was not told of");
        }
        connect(&mut state);
        assert!(state.hold().is_some());
        assert!(state.hold().is_none(), "once");
        assert!(state.miss(), "another loss is news");
    }

    #[test]
    fn a_connection_from_the_start_is_no_news() {
        let mut state = State::new();
        let (session, other) = (Arc::new(()), Arc::new(()));
        state.session = Some(Arc::clone(&session));
        assert!(state.is_of(&session) && !state.is_of(&other));
        assert!(state.hold().is_none());
    }

    #[test]
    fn the_clock_is_known_once_it_was_heard() {
        let link = Link::new(OnError::Local);
        assert_eq!(link.clock_in(Duration::ZERO), None);
        link.note_clock(1_000);
        assert!(link.clock_in(Duration::from_micros(5)).is_some_and(|micros| micros >= 1_005));
    }
}
