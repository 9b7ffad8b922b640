//! What was spent and what was used.
//!
//! Each is one statement for all keys, which takes its rows as one JSON value: many keys are in use at once, and a round
//! trip for each would take longer than the second after which the next ones come.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_keystore::{Ledger, StoreFuture};
use gateway_ratelimit::{BudgetPeriod, BudgetWindow, NanoUsd, Spend};
use jiff::Timestamp;
use sqlx::Connection;

use super::row::time;
use super::statements::{FORGET, TOTALS};
use super::{Dialect, Failure, LONG_PATIENCE, PATIENCE, SqlStore, all, count, within};
use crate::driver::{Cells, Value};
use crate::json::written_json;

/// For how long it is kept what was spent in a window that is over, in microseconds: a year and a month, for those who ask.
const KEPT: i64 = 400 * 24 * 60 * 60 * 1_000_000;

impl<D: Dialect> Ledger for SqlStore<D> {
    fn spend<'a>(&'a self, spent: &'a [Spend]) -> StoreFuture<'a, Vec<Spend>> {
        self.writing(PATIENCE, async move {
            let rows = sums(spent);
            let newest = rows.keys().filter(|(_, period, _)| *period != "total").map(|(_, _, start)| *start).max();
            let rows: Vec<_> =
                rows.iter().map(|((account, period, start), sum)| (account, period, start, sum)).collect();
            let mut connection = self.lease().await?;
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
            let rows = written_json(&rows);
            let totals = all::<D, _>(&mut transaction, D::STATEMENTS.spend, &[rows.as_str().into()], read).await?;
            if let Some(newest) = newest {
                count::<D>(&mut transaction, FORGET, &[Value::from(newest.saturating_sub(KEPT))]).await?;
            }
            transaction.commit().await?;
            self.connections().confirm(self.dialect())?;
            connection.give_back();
            totals.into_iter().collect()
        })
    }

    fn totals(&self, at: Timestamp) -> StoreFuture<'_, Vec<Spend>> {
        within::<D, _>(LONG_PATIENCE, async move {
            let mut connection = self.lease().await?;
            let starts = [BudgetPeriod::Day, BudgetPeriod::Month].map(|period| period.window(at).start);
            let starts = starts.map(|start| Value::from(start.as_microsecond()));
            let totals = all::<D, _>(&mut connection, TOTALS, &starts, read).await?;
            connection.give_back();
            totals.into_iter().collect()
        })
    }

    fn touch<'a>(&'a self, used: &'a [(Arc<str>, Timestamp)]) -> StoreFuture<'a, ()> {
        self.writing(PATIENCE, async move {
            // In order, and each once: two nodes that lock rows in different orders would wait for each other.
            let mut latest = BTreeMap::<&str, i64>::new();
            for (id, at) in used {
                let noted = latest.entry(id).or_insert(i64::MIN);
                *noted = (*noted).max(at.as_microsecond());
            }
            let rows = written_json(&latest.into_iter().collect::<Vec<_>>());
            let mut connection = self.lease().await?;
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
            count::<D>(&mut transaction, D::STATEMENTS.touch, &[rows.as_str().into()]).await?;
            transaction.commit().await?;
            connection.give_back();
            Ok(())
        })
    }
}

/// What was spent by account, period and beginning of the window: in order, and each once, for the same reason.
fn sums(spent: &[Spend]) -> BTreeMap<(&str, &'static str, i64), i64> {
    let mut sums = BTreeMap::new();
    for entry in spent {
        let key = (&*entry.account, entry.window.period.name(), entry.window.start.as_microsecond());
        let sum: &mut i64 = sums.entry(key).or_default();
        *sum = sum.saturating_add(i64::try_from(entry.amount.0).unwrap_or(i64::MAX));
    }
    sums
}

fn read(row: &impl Cells) -> Result<Spend, Failure> {
    let damaged = || Failure::damaged("a row of budget_spent cannot be read");
    let period = row.text(1)?.and_then(|name| name.parse().ok()).ok_or_else(damaged)?;
    let start = row.integer(2)?.and_then(|start| time(start).ok()).ok_or_else(damaged)?;
    let amount = row.integer(3)?.and_then(|amount| u64::try_from(amount).ok()).ok_or_else(damaged)?;
    let account = Arc::from(row.text(0)?.ok_or_else(damaged)?);
    Ok(Spend { account, window: BudgetWindow { period, start }, amount: NanoUsd(amount) })
}
