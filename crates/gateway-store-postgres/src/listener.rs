//! Hearing of changes, `LISTEN` and `NOTIFY`.
//!
//! A notification is a hint and nothing else: it may be lost with its connection, so every few seconds it is time to look
//! in any case, and the connection itself is looked at too, because one that a network has forgotten stays silent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use gateway_store::CONNECT_PATIENCE;

/// What the triggers notify; see `migrations/1_keys.up.sql`.
const CHANNEL: &str = "gateway_config";
/// When to look although nothing was heard.
const POLL: Duration = Duration::from_secs(5);
/// When to look where nothing can be heard, behind a pooler that does not pass notifications on for one.
const DEAF_POLL: Duration = Duration::from_secs(1);

pub(crate) struct Listener {
    options: PgConnectOptions,
    /// The connection that listens, while nobody waits on it.
    listening: Mutex<Option<Listening>>,
    is_deaf: AtomicBool,
}

/// A connection that listens.
struct Listening {
    listener: PgListener,
    /// Whether nothing was heard for as long as anybody waits. It may be that there was nothing to hear.
    is_doubtful: bool,
}

impl Listener {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        Self { options, listening: Mutex::default(), is_deaf: AtomicBool::new(false) }
    }

    /// Returns when something may have changed, and at once when it begins to listen: what was said before went unheard.
    pub(crate) async fn changed(&self) {
        let kept = self.listening.lock().take();
        match kept {
            Some(listening) => *self.listening.lock() = listening.hear().await,
            None => self.begin().await,
        }
    }

    async fn begin(&self) {
        let begun = timeout(CONNECT_PATIENCE, self.listen()).await.map_err(|_| sqlx::Error::PoolTimedOut).flatten();
        let was_deaf = self.is_deaf.swap(begun.is_err(), Ordering::Relaxed);
        match begun {
            Ok(listener) => *self.listening.lock() = Some(Listening { listener, is_doubtful: false }),
            Err(error) => {
                if !was_deaf {
                    tracing::warn!(%error, "the store does not say when it changes; it is asked every second");
                }
                sleep(DEAF_POLL).await;
            }
        }
    }

    async fn listen(&self) -> Result<PgListener, sqlx::Error> {
        // A pool of its own: a listener gives its connection back when it is dropped, and waits for it to answer.
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.acquire_timeout(CONNECT_PATIENCE).connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }
}

impl Listening {
    /// Waits for a notification, but not for long. Gives itself back if it may still hear.
    ///
    /// After a silence it is time to look, and not to wait first for the word of a connection that may be dead: that is asked
    /// for when somebody listens again.
    async fn hear(mut self) -> Option<Self> {
        if self.is_doubtful && !self.answers().await {
            return None;
        }
        let heard = timeout(POLL, self.listener.try_recv()).await;
        self.is_doubtful = heard.is_err();
        match heard {
            Ok(Ok(Some(_))) => {
                // Whatever else was said until now is seen in the same look.
                while self.listener.next_buffered().is_some() {}
                Some(self)
            }
            Ok(Ok(None) | Err(_)) => None,
            Err(_) => Some(self),
        }
    }

    async fn answers(&mut self) -> bool {
        let answer = timeout(CONNECT_PATIENCE, sqlx::query("SELECT 1").execute(&mut self.listener)).await;
        matches!(answer, Ok(Ok(_)))
    }
}
