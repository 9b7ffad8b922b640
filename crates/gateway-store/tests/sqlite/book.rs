//! Spending that a test does.

use gateway_ratelimit::{Spend, SpendBook};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What was spent, and what was noted of it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    unrecorded: Mutex<Vec<Spend>>,
    totals: watch::Sender<Vec<Spend>>,
    put_back: watch::Sender<bool>,
}

impl Book {
    pub(crate) fn spend(&self, spend: Spend) {
        self.unrecorded.lock().push(spend);
    }

    pub(crate) fn unrecorded(&self) -> Vec<Spend> {
        self.unrecorded.lock().clone()
    }

    pub(crate) fn totals(&self) -> Vec<Spend> {
        self.totals.borrow().clone()
    }

    /// Returns when this is a total that was noted.
    pub(crate) async fn noted(&self, total: Spend) {
        self.totals.subscribe().wait_for(|totals| totals.contains(&total)).await.unwrap();
    }

    /// Returns when something has been put back.
    pub(crate) async fn was_put_back(&self) {
        self.put_back.subscribe().wait_for(|was_put_back| *was_put_back).await.unwrap();
    }
}

impl SpendBook for Book {
    fn take_unrecorded(&self) -> Vec<Spend> {
        std::mem::take(&mut *self.unrecorded.lock())
    }

    fn put_back(&self, unrecorded: Vec<Spend>) {
        self.unrecorded.lock().extend(unrecorded);
        self.put_back.send_replace(true);
    }

    fn note_totals(&self, totals: &[Spend]) {
        self.totals.send_replace(totals.to_vec());
    }
}
