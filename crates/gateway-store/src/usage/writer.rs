//! Brings what was counted into the store.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{StoreError, UsageBatch, UsageFlush, UsageLedger};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::book::UsageBook;
use super::pending::Pending;
use crate::hex::hex;

/// How often what was counted is written, and so how much a crash forgets.
const WRITE: Duration = Duration::from_secs(5);
/// How many sums are written in one transaction: about a tenth of a second of the store's time.
const MOST_ROWS: usize = 2_000;
/// How long somebody who wants to read what was counted waits for it to be written.
const FLUSH: Duration = Duration::from_secs(2);
/// How long a stopping process may take to write what is left to write.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often hours are forgotten that are too long ago.
const FORGET: Duration = Duration::from_hours(24);
/// For how long hours are kept: a year and a month, for those who compare.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Writes what a [`UsageBook`] counts into a store, every five seconds, and forgets what is older than 400 days, once a day.
/// Dropping it stops at once, and what was not written is lost; see [`UsageWriter::stop`].
#[derive(Debug)]
pub struct UsageWriter {
    wanted: watch::Sender<Wanted>,
    done: watch::Receiver<Done>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What is asked of the task.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    /// Counts those who have asked for what was counted to be written.
    asked: u64,
    is_stopping: bool,
}

/// What the task has done.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    /// How many had asked when it last began to write.
    asked: u64,
    /// Whether everything was written that was counted until then.
    is_written: bool,
}

impl UsageWriter {
    /// Begins to write, on the runtime that this is called in.
    pub fn start(book: Arc<UsageBook>, store: Arc<dyn UsageLedger>) -> Self {
        let wanted = watch::Sender::new(Wanted::default());
        let (done, told) = watch::channel(Done::default());
        let work = Work {
            book,
            store,
            writer: new_writer(),
            written: 0,
            unconfirmed: None,
            pending: Pending::default(),
            is_failing: false,
            next_forget: Instant::now(),
        };
        let task = tokio::spawn(work.keep(wanted.subscribe(), done));
        Self { wanted, done: told, task: Mutex::new(Some(task)) }
    }

    /// Writes what is left to write, within a few seconds, and stops. What the store has not taken by then is lost, and the log
    /// says how much that is. To be called before the store is closed.
    pub async fn stop(&self) {
        self.wanted.send_modify(|wanted| wanted.is_stopping = true);
        let Some(mut task) = self.task.lock().take() else { return };
        if timeout(FAREWELL, &mut task).await.is_err() {
            tracing::warn!("what was counted last could not be written to the store in time");
            task.abort();
        }
    }
}

impl UsageFlush for UsageWriter {
    fn flush(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let mut done = self.done.clone();
        let mut ticket = 0;
        self.wanted.send_modify(|wanted| {
            wanted.asked += 1;
            ticket = wanted.asked;
        });
        Box::pin(async move {
            let served = timeout(FLUSH, done.wait_for(|done| done.asked >= ticket)).await;
            // The inner error says that it has stopped.
            matches!(served, Ok(Ok(done)) if done.is_written)
        })
    }
}

impl Drop for UsageWriter {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// An identifier that no other process has.
fn new_writer() -> Arc<str> {
    hex(&fastrand::u128(..).to_be_bytes()).into()
}

/// What the task holds.
struct Work {
    book: Arc<UsageBook>,
    store: Arc<dyn UsageLedger>,
    writer: Arc<str>,
    /// The number of the last batch that the store has.
    written: i64,
    /// A batch of which the store has not said that it has it: given again as it is, since it may.
    unconfirmed: Option<UsageBatch>,
    pending: Pending,
    /// Whether it was said that the store does not take them.
    is_failing: bool,
    next_forget: Instant,
}

impl Work {
    async fn keep(mut self, mut wanted: watch::Receiver<Wanted>, done: watch::Sender<Done>) {
        let mut tick = interval(WRITE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                // An error says that the writer was dropped, which ends this task as well.
                changed = wanted.changed() => if changed.is_err() { return },
            }
            let Wanted { asked, is_stopping } = *wanted.borrow_and_update();
            let is_written = self.write().await;
            done.send_replace(Done { asked, is_written });
            if is_stopping {
                return self.say_what_is_left();
            }
            if is_written && Instant::now() >= self.next_forget {
                self.next_forget = Instant::now() + FORGET;
                self.forget().await;
            }
        }
    }

    /// Writes everything that was counted when it began; returns whether it could.
    async fn write(&mut self) -> bool {
        self.pending.add(self.book.take());
        loop {
            let batch = match self.unconfirmed.take() {
                Some(batch) => batch,
                None if self.pending.is_empty() => return true,
                None => self.next_batch(),
            };
            let batch = self.unconfirmed.insert(batch);
            match self.store.add_usage(batch).await {
                Ok(()) => self.confirm(),
                Err(error) => {
                    self.say_failing(&error);
                    return false;
                }
            }
        }
    }

    fn next_batch(&mut self) -> UsageBatch {
        let rows = self.pending.take(MOST_ROWS);
        UsageBatch { writer: Arc::clone(&self.writer), number: self.written + 1, at: Timestamp::now(), rows }
    }

    fn confirm(&mut self) {
        self.unconfirmed = None;
        self.written += 1;
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("usage is written to the store again");
        }
    }

    fn say_failing(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(error = error.with_cause(), "usage cannot be written to the store; it is kept in memory");
        }
    }

    async fn forget(&self) {
        let Ok(before) = Timestamp::now().checked_sub(KEPT) else { return };
        if let Err(error) = self.store.forget_usage(before).await {
            // It is tried again tomorrow, and a day matters little.
            tracing::debug!(error = error.with_cause(), "usage that is too long ago was not forgotten");
        }
    }

    fn say_what_is_left(&self) {
        let unconfirmed = self.unconfirmed.iter().flat_map(|batch| &batch.rows);
        let requests = unconfirmed.fold(self.pending.requests(), |sum, (_, sums)| sum.saturating_add(sums.requests));
        if requests > 0 {
            tracing::warn!(requests, "usage of calls could not be written to the store and is lost");
        }
    }
}

#[cfg(test)]
mod tests;
