//! A key as a row of `master_keys`.
//!
//! Rows may have been written by hand, so whoever reads one is told which column makes no sense.

use std::borrow::Cow;
use std::sync::Arc;

use gateway_keystore::{KeyRecord, RetiredKey};
use gateway_secret::KeyDigest;
use jiff::Timestamp;

use super::statements::COLUMNS;
use crate::driver::{Cells, Value};
use crate::json::{read_budget, read_json, read_notes, read_object, written_budget, written_json};

/// A key with what is written as JSON, ready to be bound.
pub(super) struct Written<'a> {
    record: &'a KeyRecord,
    allowed_models: String,
    rate_limit: Option<String>,
    budget: Option<String>,
}

impl<'a> Written<'a> {
    pub(super) fn new(record: &'a KeyRecord) -> Self {
        Self {
            record,
            allowed_models: written_json(&record.allowed_models),
            rate_limit: record.rate_limit.as_ref().map(written_json),
            budget: record.budget.as_ref().map(written_budget),
        }
    }

    /// The identifier, and what an administrator changes.
    pub(super) fn state(&self) -> Vec<Value<'_>> {
        let record = self.record;
        let previous = record.previous.as_ref();
        vec![
            Value::from(&*record.id),
            Value::from(&*record.name),
            Value::from(record.digest.as_bytes().as_slice()),
            Value::from(record.preview.as_str()),
            Value::Flag(record.is_weak),
            Value::Bytes(previous.map(|previous| previous.digest.as_bytes().as_slice())),
            Value::Integer(previous.map(|previous| previous.valid_until.as_microsecond())),
            Value::from(self.allowed_models.as_str()),
            Value::Text(self.rate_limit.as_deref()),
            Value::Text(self.budget.as_deref()),
            Value::Integer(record.expires_at.map(Timestamp::as_microsecond)),
            Value::Flag(record.is_enabled),
            Value::from(record.metadata.as_str()),
            Value::from(record.updated_at.as_microsecond()),
        ]
    }

    /// Everything.
    pub(super) fn columns(&self) -> Vec<Value<'_>> {
        let rest = [
            Value::from(self.record.created_at.as_microsecond()),
            Value::Integer(self.record.last_used_at.map(Timestamp::as_microsecond)),
            Value::from(self.record.revision),
        ];
        self.state().into_iter().chain(rest).collect()
    }
}

/// Reads a row of [`COLUMNS`]. An unreadable one gives its identifier, as far as it has one, and what is wrong.
pub(super) fn read(row: &impl Cells) -> Result<KeyRecord, (String, String)> {
    read_columns(row).map_err(|problem| {
        let id = row.text(0).ok().flatten().unwrap_or_default();
        (id.to_owned(), problem)
    })
}

fn read_columns(row: &impl Cells) -> Result<KeyRecord, String> {
    let mut cells = Cursor::new(row, COLUMNS);
    Ok(KeyRecord {
        id: cells.needed(Cells::text, |id| Ok(Arc::from(id)))?,
        name: cells.needed(Cells::text, |name| Ok(Arc::from(name)))?,
        digest: cells.needed(Cells::bytes, digest)?,
        preview: cells.needed(Cells::text, |preview| Ok(preview.to_owned()))?,
        is_weak: cells.needed(Cells::flag, Ok)?,
        previous: retired(cells.next(Cells::bytes, digest)?, cells.next(Cells::integer, time)?)?,
        allowed_models: cells.needed(Cells::text, read_json)?,
        rate_limit: cells.next(Cells::text, read_object)?,
        budget: cells.next(Cells::text, read_budget)?,
        expires_at: cells.next(Cells::integer, time)?,
        is_enabled: cells.needed(Cells::flag, Ok)?,
        metadata: cells.needed(Cells::text, read_notes)?,
        updated_at: cells.needed(Cells::integer, time)?,
        created_at: cells.needed(Cells::integer, time)?,
        last_used_at: cells.next(Cells::integer, time)?,
        revision: cells.needed(Cells::integer, Ok)?,
    })
}

/// Reads a row from left to right.
pub(super) struct Cursor<'a, R> {
    row: &'a R,
    columns: &'static str,
    column: usize,
}

impl<'a, R: Cells> Cursor<'a, R> {
    /// `columns` are their names, with a comma and a space between them.
    pub(super) fn new(row: &'a R, columns: &'static str) -> Self {
        Self { row, columns, column: 0 }
    }

    fn name(&self, column: usize) -> &'static str {
        self.columns.split(", ").nth(column).unwrap_or_default()
    }

    /// The next value, or none where there is none.
    pub(super) fn next<C, T>(
        &mut self,
        cell: impl FnOnce(&'a R, usize) -> sqlx::Result<Option<C>>,
        read: impl FnOnce(C) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let column = self.column;
        self.column += 1;
        let value = match cell(self.row, column) {
            Ok(value) => value.map(read).transpose(),
            Err(sqlx::Error::ColumnDecode { source, .. }) => Err(source.to_string()),
            Err(error) => Err(error.to_string()),
        };
        value.map_err(|problem| format!("{}: {problem}", self.name(column)))
    }

    /// None in the place of the next value, whatever it is.
    pub(super) fn pass_over<T>(&mut self) -> Option<T> {
        self.column += 1;
        None
    }

    /// The next value, which has to be there.
    pub(super) fn needed<C, T>(
        &mut self,
        cell: impl FnOnce(&'a R, usize) -> sqlx::Result<Option<C>>,
        read: impl FnOnce(C) -> Result<T, String>,
    ) -> Result<T, String> {
        let column = self.column;
        self.next(cell, read)?.ok_or_else(|| format!("{}: is missing", self.name(column)))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a row has either or")]
fn digest(bytes: Cow<'_, [u8]>) -> Result<KeyDigest, String> {
    let bytes = <[u8; 32]>::try_from(&*bytes).map_err(|_| format!("has {} bytes; a digest has 32", bytes.len()))?;
    Ok(KeyDigest::from_bytes(bytes))
}

/// A moment that is kept as microseconds since the epoch.
pub(super) fn time(microseconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(microseconds).map_err(|_| format!("{microseconds} microseconds are no moment"))
}

fn retired(digest: Option<KeyDigest>, valid_until: Option<Timestamp>) -> Result<Option<RetiredKey>, String> {
    match (digest, valid_until) {
        (None, None) => Ok(None),
        (Some(digest), Some(valid_until)) => Ok(Some(RetiredKey { digest, valid_until })),
        _ => Err("previous_digest and previous_valid_until: only one of them is there".to_owned()),
    }
}
