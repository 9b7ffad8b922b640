//! What calls took, as rows of `usage_hourly`.
//!
//! A batch is one transaction: first the writer's row of `usage_writers`, which is not changed if the batch was added before,
//! then one statement for all sums. Whoever gives a batch again while the first try is still being committed waits for that
//! row, and finds it changed. Batches in their order and the number of the last one are enough, since a writer gives no other
//! before it knows of one that it was added.

mod report;

use std::collections::BTreeMap;

use gateway_keystore::{StoreFuture, UsageBatch, UsageLedger, UsagePage, UsageQuery, UsageSlot, UsageSums};
use jiff::Timestamp;
use sqlx::Connection;

use super::{Dialect, Failure, LONG_PATIENCE, PATIENCE, SqlStore, count};
use crate::driver::Value;
use crate::json::written_json;

/// The most bytes of a name. PostgreSQL's indexes take no more than 2704 for the three of a row together.
const MOST_NAME: usize = 512;

/// The statement that adds to sums of usage: of the rows that a `SELECT` in the dialect's own words makes of `$1`.
#[macro_export]
macro_rules! add_usage {
    ($rows:literal) => {
        concat!(
            "INSERT INTO usage_hourly (hour, key_name, model, provider, requests, errors, estimated, prompt_tokens, ",
            "completion_tokens, cached_tokens, cost_nano_usd) ",
            $rows,
            " ON CONFLICT (hour, key_name, model, provider) DO UPDATE SET ",
            $crate::add_usage!(@sum "requests"),
            ", ",
            $crate::add_usage!(@sum "errors"),
            ", ",
            $crate::add_usage!(@sum "estimated"),
            ", ",
            $crate::add_usage!(@sum "prompt_tokens"),
            ", ",
            $crate::add_usage!(@sum "completion_tokens"),
            ", ",
            $crate::add_usage!(@sum "cached_tokens"),
            ", ",
            $crate::add_usage!(@sum "cost_nano_usd"),
        )
    };
    // What is too much to say is the most that can be said.
    (@sum $column:literal) => {
        concat!(
            $column, " = CASE WHEN usage_hourly.", $column, " > 9223372036854775807 - excluded.", $column,
            " THEN 9223372036854775807 ELSE usage_hourly.", $column, " + excluded.", $column, " END"
        )
    };
}

/// Has no row in its answer if the batch was added before.
const BEGIN_BATCH: &str = "INSERT INTO usage_writers (writer, batch, at) VALUES ($1, $2, $3) \
                           ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, at = excluded.at \
                           WHERE usage_writers.batch < excluded.batch RETURNING batch";

const FORGET_HOURS: &str = "DELETE FROM usage_hourly WHERE hour < $1";
const FORGET_WRITERS: &str = "DELETE FROM usage_writers WHERE at < $1";

impl<D: Dialect> UsageLedger for SqlStore<D> {
    fn add_usage<'a>(&'a self, batch: &'a UsageBatch) -> StoreFuture<'a, ()> {
        self.writing(PATIENCE, async move {
            let rows = written_rows(&batch.rows);
            let mut connection = self.lease().await?;
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
            let which = [(&*batch.writer).into(), batch.number.into(), batch.at.as_microsecond().into()];
            if count::<D>(&mut transaction, BEGIN_BATCH, &which).await? > 0 {
                count::<D>(&mut transaction, D::STATEMENTS.add_usage, &[rows.as_str().into()]).await?;
            }
            transaction.commit().await?;
            self.connections().confirm(self.dialect())?;
            connection.give_back();
            Ok(())
        })
    }

    fn usage<'a>(&'a self, query: &'a UsageQuery) -> StoreFuture<'a, UsagePage> {
        Box::pin(async move { self.report(query).await.map_err(Failure::into_store_error::<D>) })
    }

    fn forget_usage(&self, before: Timestamp) -> StoreFuture<'_, ()> {
        self.writing(LONG_PATIENCE, async move {
            let before = [Value::from(before.as_microsecond())];
            let mut connection = self.lease().await?;
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
            count::<D>(&mut transaction, FORGET_HOURS, &before).await?;
            count::<D>(&mut transaction, FORGET_WRITERS, &before).await?;
            transaction.commit().await?;
            connection.give_back();
            Ok(())
        })
    }
}

/// The rows in the order of their slots, and each once, as the statement demands.
fn written_rows(rows: &[(UsageSlot, UsageSums)]) -> String {
    let mut sums = BTreeMap::<_, UsageSums>::new();
    for (slot, more) in rows {
        let names = [&slot.key, &slot.model, &slot.provider].map(|name| storable(name));
        *sums.entry((slot.hour.as_microsecond(), names)).or_default() += *more;
    }
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let rows = sums.iter().map(|((hour, [key, model, provider]), sums)| {
        let calls = [sums.requests, sums.errors, sums.estimated].map(number);
        let [requests, errors, estimated] = calls;
        let [prompt, completion, cached] = [sums.prompt_tokens, sums.completion_tokens, sums.cached_tokens].map(number);
        let cost = number(sums.cost.0);
        (hour, key, model, provider, requests, errors, estimated, prompt, completion, cached, cost)
    });
    written_json(&rows.collect::<Vec<_>>())
}

/// A name that every database takes: one name that it does not take would keep all others from being written.
fn storable(name: &str) -> String {
    name[..name.floor_char_boundary(MOST_NAME)].replace('\0', "\u{fffd}")
}
