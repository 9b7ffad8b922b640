//! Waiting for what comes by itself, where nothing tells when: looking again and again, up to a deadline.

use std::time::Duration;

use tokio::time::sleep;

use crate::clock::now;

/// How long to wait for what takes moments; far more than anything on one machine does.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something, and gives it with the time that it took. Panics, with what was waited for, if there is
/// nothing within [`PATIENCE`].
pub async fn until<T>(awaited: &str, mut look: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let began = now();
    loop {
        if let Some(found) = look().await {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {awaited}");
        sleep(PAUSE).await;
    }
}
