//! Whether there is a connection to Redis, and who is told when that changes.
//!
//! There is one connection, which all calls share: their questions are pipelined, and Redis answers them in turn. Whoever
//! gets an error gives the connection up for all, so that nobody else waits for it, and so does the background task if there
//! is no answer in time; it then makes a new one.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

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

/// Why Redis is not used.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// No answer in time.
    Timeout,
    /// An error in its place.
    Failed(RedisError),
    /// An answer that makes no sense.
    Nonsense,
}

/// The connection, if there is one.
#[derive(Debug)]
pub(crate) struct Link {
    state: RwLock<State>,
    on_error: OnError,
    clock: Mutex<Option<ClockReading>>,
}

#[derive(Debug)]
enum State {
    Up(Arc<Session>),
    /// `is_told` once the log has it.
    Down {
        since: Instant,
        is_told: bool,
    },
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

impl Link {
    pub(crate) fn new(on_error: OnError) -> Self {
        let state = RwLock::new(State::Down { since: Instant::now(), is_told: false });
        Self { state, on_error, clock: Mutex::new(None) }
    }

    /// The connection, if there is one.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        match &*self.state.read() {
            State::Up(session) => Some(Arc::clone(session)),
            State::Down { .. } => None,
        }
    }

    pub(crate) fn status(&self) -> RedisStatus {
        match &*self.state.read() {
            State::Up(_) => RedisStatus::Reachable,
            State::Down { since, .. } => RedisStatus::Unreachable { since: *since },
        }
    }

    /// Has everybody use a connection from now on.
    pub(crate) fn establish(&self, session: Session) {
        let before = std::mem::replace(&mut *self.state.write(), State::Up(Arc::new(session)));
        if let State::Down { since, is_told: true } = before {
            let missing_for = since.elapsed();
            info!(?missing_for, "Redis answers again: limits are enforced for all nodes together");
        }
    }

    /// Gives up a connection, unless that has happened already.
    pub(crate) fn lose(&self, session: &Arc<Session>, loss: &Loss) {
        let mut state = self.state.write();
        if !matches!(&*state, State::Up(current) if Arc::ptr_eq(current, session)) {
            return;
        }
        *state = State::Down { since: Instant::now(), is_told: true };
        drop(state);
        self.warn(loss);
        session.end();
    }

    /// Gives up the connection for good.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut *self.state.write(), State::Down { since: Instant::now(), is_told: true });
        if let State::Up(session) = before {
            session.end();
        }
    }

    /// Notes that there is still no connection.
    pub(crate) fn miss(&self, loss: &Loss) {
        let mut state = self.state.write();
        let State::Down { is_told, .. } = &mut *state else { return };
        let was_told = std::mem::replace(is_told, true);
        drop(state);
        if !was_told {
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
        let connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(Loss::Failed)?;
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

impl Loss {
    /// What may be said of it: an error's own words can repeat what was sent, and that may be a password.
    fn reason(&self) -> String {
        match self {
            Self::Timeout => "no answer in time".to_owned(),
            Self::Nonsense => "an answer that makes no sense".to_owned(),
            Self::Failed(error) if error.kind() == ErrorKind::Io => error.to_string(),
            Self::Failed(error) => error.code().unwrap_or_else(|| error.category()).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use redis::ErrorKind;

    use super::*;

    #[test]
    fn nothing_that_was_sent_is_repeated() {
        let echo = "unknown command 'AUTH', with args beginning with: 'secret'".to_owned();
        for kind in [ErrorKind::AuthenticationFailed, ErrorKind::Extension, ErrorKind::Client] {
            let loss = Loss::Failed(RedisError::from((kind, "refused", echo.clone())));
            assert!(!loss.reason().contains("secret"), "{}", loss.reason());
        }
        let refused = Loss::Failed(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        assert_eq!(refused.reason(), "connection refused");
    }

    #[test]
    fn the_clock_is_known_once_it_was_heard() {
        let link = Link::new(OnError::Local);
        assert_eq!(link.clock_in(Duration::ZERO), None);
        link.note_clock(1_000);
        assert!(link.clock_in(Duration::from_micros(5)).is_some_and(|micros| micros >= 1_005));
    }
}
