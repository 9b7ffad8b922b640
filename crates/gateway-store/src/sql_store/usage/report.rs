//! What calls took, read from `usage_hourly`.
//!
//! A report may have to read millions of rows, so there is one at a time: any number of administrators and dashboards take
//! one connection and one processor, and leave the rest to who revokes a key. Its turn lasts until the database has finished,
//! whether anybody still waits for the answer or not.
//!
//! Hours and days are read a stretch at a time, from where the page begins until the page is full. The primary key begins
//! with the hour, so a page costs what its own rows cost, and all pages together what the whole costs.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{StoreError, UsageGroup, UsageGrouping, UsagePage, UsageQuery, UsageSpan, UsageSums};
use gateway_ratelimit::NanoUsd;
use jiff::Timestamp;
use sqlx::Connection;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::super::row::time;
use super::super::{Dialect, Driven, Failure, LONG_PATIENCE, SqlStore, all};
use crate::connections::Lease;
use crate::driver::{Cells, Value};

/// How long a report waits for its turn: a few others, but not longer than who asked over HTTP will.
const TURN: Duration = Duration::from_secs(10);
/// Microseconds of an hour.
const HOUR: i64 = 60 * 60 * 1_000_000;

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
    "SELECT start, key_name, model, provider, ",
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
    " FROM (SELECT hour / $3 * $3 AS start, CASE WHEN $4 THEN key_name ELSE '' END AS key_name, ",
    "CASE WHEN $5 THEN model ELSE '' END AS model, CASE WHEN $6 THEN provider ELSE '' END AS provider, ",
    "requests, errors, estimated, prompt_tokens, completion_tokens, cached_tokens, cost_nano_usd ",
    "FROM usage_hourly WHERE hour >= $1 AND hour < $2) AS named ",
    "WHERE (start, key_name, model, provider) > ($7, $8, $9, $10) ",
    "GROUP BY start, key_name, model, provider ORDER BY start, key_name, model, provider LIMIT $11"
);

/// The hour of the row that has `$3` others before it, of those of the hours from `$1` to `$2`.
const HOUR_AFTER: &str = "SELECT hour FROM usage_hourly WHERE hour >= $1 AND hour < $2 ORDER BY hour LIMIT 1 OFFSET $3";

type Groups = Vec<(UsageGroup, UsageSums)>;

impl<D: Dialect> SqlStore<D> {
    pub(super) async fn report(&self, query: &UsageQuery) -> Result<UsagePage, Failure> {
        let turn = timeout(TURN, Arc::clone(&self.reports).acquire_owned()).await;
        let turn = turn.map_err(|_| StoreError::Busy)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let mut reader = Reader { inner: Some((self.lease().await?, turn)) };
        let page = timeout(LONG_PATIENCE, reader.read(query)).await.map_err(|_| Failure::long_report())??;
        reader.give_back();
        Ok(page)
    }
}

/// A connection whose turn it is to read a report.
struct Reader<'a, D: Dialect> {
    /// None once it was given back.
    inner: Option<(Lease<'a, D>, OwnedSemaphorePermit)>,
}

impl<D: Dialect> Reader<'_, D> {
    async fn read(&mut self, query: &UsageQuery) -> Result<UsagePage, Failure> {
        let Some((connection, _)) = &mut self.inner else { return Err(sqlx::Error::PoolClosed.into()) };
        let mut transaction = connection.begin_with(D::STATEMENTS.begin_read).await?;
        let page = read_page::<D>(&mut transaction, query).await?;
        transaction.commit().await?;
        Ok(page)
    }

    fn give_back(mut self) {
        if let Some((connection, _)) = self.inner.take() {
            connection.give_back();
        }
    }
}

impl<D: Dialect> Drop for Reader<'_, D> {
    /// Nobody waits for the answer any more, but the database goes on reading until it has one. Its turn lasts as long: else
    /// any number of reports that are asked for and given up would be read at once.
    fn drop(&mut self) {
        if let (Some((connection, turn)), Ok(runtime)) = (self.inner.take(), Handle::try_current())
            && let Some(mut connection) = connection.into_connection()
        {
            runtime.spawn(async move {
                // It answers to this when it has done all that it was asked before. Whether it does is of no interest.
                _ = timeout(LONG_PATIENCE, connection.ping()).await;
                drop(turn);
            });
        }
    }
}

async fn read_page<D: Dialect>(connection: &mut Driven<D>, query: &UsageQuery) -> Result<UsagePage, Failure> {
    let limit = query.limit as usize;
    let groups = match query.grouping.span {
        Some(_) => read_stretches::<D>(connection, query).await?,
        None => read::<D>(connection, query, limit).await?,
    };
    let totals = match &query.after {
        Some(_) => None,
        None if groups.len() < limit => Some(sum(&groups)),
        None => {
            let everything = UsageQuery { grouping: UsageGrouping::default(), ..query.clone() };
            Some(sum(&read::<D>(connection, &everything, 1).await?))
        }
    };
    Ok(UsagePage { groups, totals })
}

fn sum(groups: &Groups) -> UsageSums {
    groups.iter().fold(UsageSums::default(), |mut sum, (_, sums)| {
        sum += *sums;
        sum
    })
}

/// As many groups as there are to be, by stretches of whole hours or days. The first has about as many rows as there are to
/// be groups, and each has twice as many as the one before, so that no more than about twice the rows are read which are
/// needed, in a few statements.
async fn read_stretches<D: Dialect>(connection: &mut Driven<D>, query: &UsageQuery) -> Result<Groups, Failure> {
    let limit = query.limit as usize;
    let behind = query.after.as_ref().and_then(|group| group.start);
    let mut rest = behind.map_or(query.hours.start, |start| start.max(query.hours.start))..query.hours.end;
    let mut rows = i64::from(query.limit);
    let mut groups = Vec::new();
    while groups.len() < limit && rest.start < rest.end {
        let end = stretch_end::<D>(connection, &rest, query.grouping, rows).await?;
        let stretch = UsageQuery { hours: rest.start..end, ..query.clone() };
        groups.extend(read::<D>(connection, &stretch, limit - groups.len()).await?);
        rest.start = end;
        rows = rows.saturating_mul(2);
    }
    Ok(groups)
}

/// Where a stretch ends that has at least so many rows, or all that there are.
async fn stretch_end<D: Dialect>(
    connection: &mut Driven<D>,
    hours: &Range<Timestamp>,
    grouping: UsageGrouping,
    rows: i64,
) -> Result<Timestamp, Failure> {
    let values = [hours.start.as_microsecond().into(), hours.end.as_microsecond().into(), rows.into()];
    let found = all::<D, _>(connection, HOUR_AFTER, &values, |row| row.integer(0)).await?;
    let Some(last) = found.into_iter().next().transpose()?.flatten() else { return Ok(hours.end) };
    let length = length(grouping);
    // Later than `last`, so that the next stretch begins later than this one. What no timestamp can name is behind the end.
    let end = (last / length + 1).checked_mul(length).and_then(|end| time(end).ok());
    Ok(end.map_or(hours.end, |end| end.min(hours.end)))
}

/// How long a group lasts, in microseconds.
fn length(grouping: UsageGrouping) -> i64 {
    match grouping.span {
        Some(UsageSpan::Hour) => HOUR,
        Some(UsageSpan::Day) => 24 * HOUR,
        // All of time is one, which begins at 0.
        None => i64::MAX,
    }
}

async fn read<D: Dialect>(connection: &mut Driven<D>, query: &UsageQuery, limit: usize) -> Result<Groups, Failure> {
    let UsageQuery { hours, grouping, after, .. } = query;
    let behind = |part: fn(&UsageGroup) -> &Option<Arc<str>>| {
        Value::from(after.as_ref().and_then(|group| part(group).as_deref()).unwrap_or_default())
    };
    let start = after.as_ref().map_or(i64::MIN, |group| group.start.map_or(0, Timestamp::as_microsecond));
    let values = [
        hours.start.as_microsecond().into(),
        hours.end.as_microsecond().into(),
        length(*grouping).into(),
        Value::Flag(grouping.key),
        Value::Flag(grouping.model),
        Value::Flag(grouping.provider),
        start.into(),
        behind(|group| &group.key),
        behind(|group| &group.model),
        behind(|group| &group.provider),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
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

#[cfg(test)]
mod tests;
