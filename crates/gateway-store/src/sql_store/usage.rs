//! What calls took, as rows of `usage_hourly`.
//!
//! A batch is one transaction: first the writer's row of `usage_writers`, which is not changed if the batch was added before,
//! then one statement for all sums. Whoever gives a batch again while the first try is still being committed waits for that
//! row, and finds it changed. Batches in their order and the number of the last one are enough, since a writer gives no other
//! before it knows of one that it was added.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_keystore::{
    StoreFuture, UsageBatch, UsageGroup, UsageGrouping, UsageLedger, UsagePage, UsageQuery, UsageSlot, UsageSpan,
    UsageSums,
};
use gateway_ratelimit::NanoUsd;
use jiff::Timestamp;
use sqlx::Connection;

use super::row::time;
use super::{Dialect, Driven, Failure, LONG_PATIENCE, PATIENCE, SqlStore, all, count, within};
use crate::driver::{Cells, Value};
use crate::json::written_json;

/// The most bytes of a name. PostgreSQL's indexes take no more than 2704 for the three of a row together.
const MOST_NAME: usize = 512;
/// Microseconds of an hour.
const HOUR: i64 = 60 * 60 * 1_000_000;

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

/// The sum of a column in two numbers, its upper half and its lower: the sum of what is the most that can be said each would
/// be an error.
macro_rules! halves {
    ($column:literal) => {
        concat!(
            "CAST(sum(",
            $column,
            " >> 32) AS BIGINT) AS ",
            $column,
            "_upper, CAST(sum(",
            $column,
            " & 4294967295) AS BIGINT) AS ",
            $column,
            "_lower"
        )
    };
}

/// `$1` and `$2` are the hours, `$3` is how long a group lasts, and `$4` to `$6` whether keys, models and providers are told
/// apart. `$7` to `$10` are the group behind which the answer begins, and `$11` is how many groups it has at most.
const USAGE: &str = concat!(
    "SELECT * FROM (SELECT hour / $3 * $3 AS start, CASE WHEN $4 THEN key_name ELSE '' END AS key_name, ",
    "CASE WHEN $5 THEN model ELSE '' END AS model, CASE WHEN $6 THEN provider ELSE '' END AS provider, ",
    halves!("requests"),
    ", ",
    halves!("errors"),
    ", ",
    halves!("estimated"),
    ", ",
    halves!("prompt_tokens"),
    ", ",
    halves!("completion_tokens"),
    ", ",
    halves!("cached_tokens"),
    ", ",
    halves!("cost_nano_usd"),
    " FROM usage_hourly WHERE hour >= $1 AND hour < $2 GROUP BY 1, 2, 3, 4) AS grouped ",
    "WHERE (start, key_name, model, provider) > ($7, $8, $9, $10) ORDER BY 1, 2, 3, 4 LIMIT $11"
);

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
        within::<D, _>(LONG_PATIENCE, async move {
            let mut connection = self.lease().await?;
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_read).await?;
            let groups = read::<D>(&mut transaction, query).await?;
            let everything =
                UsageQuery { grouping: UsageGrouping::default(), after: None, limit: 1, hours: query.hours.clone() };
            let totals = read::<D>(&mut transaction, &everything).await?;
            transaction.commit().await?;
            connection.give_back();
            let totals = totals.first().map(|(_, sums)| *sums).unwrap_or_default();
            Ok(UsagePage { groups, totals })
        })
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

async fn read<D: Dialect>(
    connection: &mut Driven<D>,
    query: &UsageQuery,
) -> Result<Vec<(UsageGroup, UsageSums)>, Failure> {
    let UsageQuery { hours, grouping, after, limit } = query;
    let length = match grouping.span {
        Some(UsageSpan::Hour) => HOUR,
        Some(UsageSpan::Day) => 24 * HOUR,
        // All of time is one, which begins at 0.
        None => i64::MAX,
    };
    let behind = |part: fn(&UsageGroup) -> &Option<Arc<str>>| {
        Value::from(after.as_ref().and_then(|group| part(group).as_deref()).unwrap_or_default())
    };
    let start = after.as_ref().map_or(i64::MIN, |group| group.start.map_or(0, Timestamp::as_microsecond));
    let values = [
        hours.start.as_microsecond().into(),
        hours.end.as_microsecond().into(),
        length.into(),
        Value::Flag(grouping.key),
        Value::Flag(grouping.model),
        Value::Flag(grouping.provider),
        start.into(),
        behind(|group| &group.key),
        behind(|group| &group.model),
        behind(|group| &group.provider),
        i64::from(*limit).into(),
    ];
    let found = all::<D, _>(connection, USAGE, &values, |row| read_group(row, *grouping)).await?;
    found.into_iter().collect()
}

fn read_group(row: &impl Cells, grouping: UsageGrouping) -> Result<(UsageGroup, UsageSums), Failure> {
    let damaged = || Failure::damaged("a row of usage_hourly cannot be read");
    let name = |column, is_wanted| match row.text(column)? {
        Some(name) => Ok(is_wanted).map(|is_wanted: bool| is_wanted.then(|| Arc::from(name))),
        None => Err(damaged()),
    };
    let start = row.integer(0)?.and_then(|start| time(start).ok()).ok_or_else(damaged)?;
    let group = UsageGroup {
        start: grouping.span.map(|_| start),
        key: name(1, grouping.key)?,
        model: name(2, grouping.model)?,
        provider: name(3, grouping.provider)?,
    };
    let sum = |column| match (row.integer(column)?, row.integer(column + 1)?) {
        (Some(upper), Some(lower)) => Ok(whole(upper, lower)),
        _ => Err(damaged()),
    };
    let sums = UsageSums {
        requests: sum(4)?,
        errors: sum(6)?,
        estimated: sum(8)?,
        prompt_tokens: sum(10)?,
        completion_tokens: sum(12)?,
        cached_tokens: sum(14)?,
        cost: NanoUsd(sum(16)?),
    };
    Ok((group, sums))
}

/// A sum of which the two halves were added up each by itself. Below nothing, which only a row made by hand can be, is nothing.
fn whole(upper: i64, lower: i64) -> u64 {
    let sum = (i128::from(upper) << 32) + i128::from(lower);
    u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
}
