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
    listening: Mutex<Option<PgListener>>,
    is_deaf: AtomicBool,
}

impl Listener {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        Self { options, listening: Mutex::default(), is_deaf: AtomicBool::new(false) }
    }

    /// Returns when something may have changed, and at once when it begins to listen: what was said before went unheard.
    pub(crate) async fn changed(&self) {
        let kept = self.listening.lock().take();
        match kept {
            Some(listener) => *self.listening.lock() = hear(listener).await,
            None => self.begin().await,
        }
    }

    async fn begin(&self) {
        let begun = timeout(CONNECT_PATIENCE, self.listen()).await.map_err(|_| sqlx::Error::PoolTimedOut).flatten();
        let was_deaf = self.is_deaf.swap(begun.is_err(), Ordering::Relaxed);
        match begun {
            Ok(listener) => *self.listening.lock() = Some(listener),
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

/// Waits for a notification, but not for long. Gives the listener back if it still hears.
async fn hear(mut listener: PgListener) -> Option<PgListener> {
    match timeout(POLL, listener.try_recv()).await {
        Ok(Ok(Some(_))) => {
            // Whatever else was said until now is seen in the same look.
            while listener.next_buffered().is_some() {}
            Some(listener)
        }
        Ok(Ok(None) | Err(_)) => None,
        Err(_) => {
            let answer = timeout(CONNECT_PATIENCE, sqlx::query("SELECT 1").execute(&mut listener)).await;
            matches!(answer, Ok(Ok(_))).then_some(listener)
        }
    }
}
