//! Brings what was counted into the store.

use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{StoreError, UsageBatch, UsageFlush, UsageLedger};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::book::UsageBook;
use super::pending::{Pending, requests_of};
use crate::hex::hex;

/// How often what was counted is written, and so how much a crash forgets.
const WRITE: Duration = Duration::from_secs(5);
/// How many sums are written in one transaction, so that others who write do not wait for all of them.
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
/// The book counts for as long as this works. While the store does not take anything, what was counted is kept: at most 65 536
/// combinations of hour, key, model and provider, and beyond them totals by the hour as `other`.
///
/// Dropping it stops at once, and what was not written is lost; see [`UsageWriter::stop`].
#[derive(Debug)]
pub struct UsageWriter {
    book: Arc<UsageBook>,
    wanted: watch::Sender<Wanted>,
    done: watch::Receiver<Done>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What is asked of the task.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    /// Counts those who have asked for what was counted to be written.
    asked: u64,
    /// Until when to write what is left to write, if it is to stop.
    stop_by: Option<Instant>,
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
    /// Opens the book and begins to write, on the runtime that this is called in. A book has one writer at most.
    pub fn start(book: Arc<UsageBook>, store: Arc<dyn UsageLedger>) -> Self {
        let wanted = watch::Sender::new(Wanted::default());
        let (done, told) = watch::channel(Done::default());
        book.open();
        let work = Work {
            book: Arc::clone(&book),
            store,
            writer: new_writer(),
            written: 0,
            unconfirmed: None,
            pending: Pending::default(),
            is_failing: false,
            next_forget: Instant::now(),
        };
        let task = tokio::spawn(work.keep(wanted.subscribe(), done));
        Self { book, wanted, done: told, task: Mutex::new(Some(task)) }
    }

    /// Writes what is left to write, within three seconds, and stops. Returns how many calls' usage the store has not taken by
    /// then: that is lost, and the log says so. To be called before the store is closed.
    pub async fn stop(&self) -> u64 {
        let task = self.task.lock().take();
        if let Some(task) = task {
            self.wanted.send_modify(|wanted| wanted.stop_by = Some(Instant::now() + FAREWELL));
            // It ends by itself then, whatever the store does. An error says that it had panicked.
            let _ = task.await;
        }
        self.book.pending_requests()
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
            let Wanted { asked, stop_by } = *wanted.borrow_and_update();
            // To write may take as long as the store's patience lasts for each piece, which is longer than whoever stops waits.
            let is_written = tokio::select! {
                biased;
                () = too_late(wanted.clone()) => false,
                is_written = self.write() => is_written,
            };
            done.send_replace(Done { asked, is_written });
            if stop_by.is_some() {
                return self.say_what_is_left();
            }
            if is_written && Instant::now() >= self.next_forget {
                self.next_forget = Instant::now() + FORGET;
                tokio::select! {
                    () = self.forget() => {}
                    _ = stopping(wanted.clone()) => {}
                }
            }
        }
    }

    /// Writes everything that was counted when it began; returns whether it could. Nothing is lost if it is dropped while it
    /// waits for the store.
    async fn write(&mut self) -> bool {
        self.take();
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
                    self.note_left();
                    self.say_failing(&error);
                    return false;
                }
            }
        }
    }

    fn take(&mut self) {
        self.pending.add(self.book.take());
    }

    /// Lets everybody see how many calls there are whose usage the store did not take.
    fn note_left(&self) {
        let unconfirmed = self.unconfirmed.as_ref().map_or(0, |batch| requests_of(&batch.rows));
        self.book.note_pending(self.pending.requests().saturating_add(unconfirmed));
    }

    fn next_batch(&mut self) -> UsageBatch {
        let rows = self.pending.take(MOST_ROWS);
        UsageBatch { writer: Arc::clone(&self.writer), number: self.written + 1, at: Timestamp::now(), rows }
    }

    fn confirm(&mut self) {
        self.unconfirmed = None;
        self.written += 1;
        if self.book.pending_requests() > 0 {
            self.note_left();
        }
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

    fn say_what_is_left(&mut self) {
        // What was counted while it wrote is left as well.
        self.take();
        self.note_left();
        let requests = self.book.pending_requests();
        if requests > 0 {
            tracing::warn!(requests, "usage of calls could not be written to the store and is lost");
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Nobody takes what it counts any more.
        self.book.close();
    }
}

/// Returns when it is to stop: until when it may write. Never if nobody stops it.
async fn stopping(mut wanted: watch::Receiver<Wanted>) -> Instant {
    let asked = wanted.wait_for(|wanted| wanted.stop_by.is_some()).await.ok().and_then(|wanted| wanted.stop_by);
    match asked {
        Some(by) => by,
        // Whoever could is gone, and the task with it.
        None => future::pending().await,
    }
}

/// Returns when whoever stops it does not wait any longer.
async fn too_late(wanted: watch::Receiver<Wanted>) {
    sleep_until(stopping(wanted).await).await;
}

#[cfg(test)]
mod tests;
