//! What calls took, for administrators: one set of rules, whoever asks.
//!
//! The admin API and the command line both come here. What is told is what the store has, all nodes' calls together; what this
//! node has counted and not written yet is written first, so that whoever asks right behind a call sees it.

mod cursor;
mod error;
mod report;
mod request;

use std::sync::Arc;

use gateway_keystore::{UsageFlush, UsageLedger, UsageQuery};

pub use cursor::UsageCursor;
pub use error::UsageError;
pub use report::{UsageFigures, UsageReport, UsageRow};
pub use request::{UsageDimension, UsageRequest};

use crate::system::{Clock, System};

/// What calls took, by hour, key, model and provider.
#[derive(Clone)]
pub struct UsageReports {
    /// None if nothing is kept.
    ledger: Option<Arc<dyn UsageLedger>>,
    /// None if this process counts no calls.
    flush: Option<Arc<dyn UsageFlush>>,
    clock: Arc<dyn Clock>,
}

impl UsageReports {
    /// From the rows of a store.
    pub fn new(ledger: Arc<dyn UsageLedger>) -> Self {
        Self { ledger: Some(ledger), ..Self::without_store() }
    }

    /// From nothing: every question is refused.
    pub fn without_store() -> Self {
        Self { ledger: None, flush: None, clock: Arc::new(System) }
    }

    /// With what this process has counted and not written yet.
    pub fn with_flush(self, flush: Arc<dyn UsageFlush>) -> Self {
        Self { flush: Some(flush), ..self }
    }

    /// With another clock than the system's.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// A part of what is asked for: at most `limit` rows, from behind the end of an earlier part.
    ///
    /// # Errors
    ///
    /// Something in the request cannot be, there is no store, or it did not answer.
    pub async fn report(
        &self,
        request: &UsageRequest,
        after: Option<&UsageCursor>,
        limit: u32,
    ) -> Result<UsageReport, UsageError> {
        let asked = request.read(self.clock.now())?;
        let after = after.map(|cursor| cursor.group_of(asked.grouping())).transpose()?;
        let ledger = self.ledger.as_ref().ok_or(UsageError::NoStore)?;
        let is_current = match &self.flush {
            Some(flush) => flush.flush().await,
            None => true,
        };
        // One more, to know whether there is another page.
        let query =
            UsageQuery { hours: asked.hours(), grouping: asked.grouping(), after, limit: limit.saturating_add(1) };
        let mut page = ledger.usage(&query).await.map_err(UsageError::Store)?;
        let wanted = limit as usize;
        let has_more = page.groups.len() > wanted;
        page.groups.truncate(wanted);
        let next = page.groups.last().filter(|_| has_more).map(|(group, _)| UsageCursor::from(group.clone()));
        Ok(UsageReport {
            from: asked.from,
            to: asked.to,
            data: page.groups.iter().map(|(group, sums)| UsageRow::new(group, sums, &asked.group_by)).collect(),
            group_by: asked.group_by,
            totals: page.totals.as_ref().map(Into::into),
            is_current,
            next_cursor: next.map(|cursor| cursor.to_string()),
        })
    }
}
