//! Keys that come many to a row, as lines of JSON.
//!
//! A driver may spend more on each column of a row than it takes to read the key: sqlx copies every value of SQLite's apart,
//! which makes a second of 100,000 keys. A dialect for which that is so packs them, by [`Statements::every_key_packed`].
//!
//! [`Statements::every_key_packed`]: super::Statements::every_key_packed

use std::borrow::Cow;
use std::fmt;

use gateway_keystore::KeyRecord;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sqlx::Database;

use super::{Dialect, Driven, row};
use crate::driver::{Cells, Driver};
use crate::hex::unhex;

/// Every key, if every one of them can be read. Otherwise somebody has to go through them column by column, to tell which
/// column of which key makes no sense.
pub(super) async fn every_key<D: Dialect>(connection: &mut Driven<D>, sql: &'static str) -> Option<Vec<KeyRecord>> {
    let mut keys = Some(Vec::new());
    let mut take = |packed: &<D::Driver as Database>::Row| {
        let is_read = match (packed.text(0), &mut keys) {
            (Ok(Some(lines)), Some(keys)) => lines.lines().try_for_each(|line| key(line).map(|key| keys.push(key))),
            _ => None,
        };
        if is_read.is_none() {
            keys = None;
        }
    };
    D::Driver::each(connection, sql, &[], &mut take).await.ok()?;
    keys
}

fn key(line: &str) -> Option<KeyRecord> {
    row::read(&serde_json::from_str::<Line<'_>>(line).ok()?).ok()
}

/// The columns of one key.
struct Line<'a>(Vec<Cell<'a>>);

/// How many columns there are, about.
const COLUMNS: usize = 20;

enum Cell<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
}

impl Line<'_> {
    fn cell(&self, column: usize) -> sqlx::Result<&Cell<'_>> {
        self.0.get(column).ok_or(sqlx::Error::ColumnIndexOutOfBounds { index: column, len: self.0.len() })
    }
}

fn is_of_another_kind<T>(column: usize) -> sqlx::Result<T> {
    Err(sqlx::Error::ColumnDecode { index: column.to_string(), source: "is of another kind".into() })
}

impl Cells for Line<'_> {
    fn integer(&self, column: usize) -> sqlx::Result<Option<i64>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Integer(number) => Ok(Some(*number)),
            Cell::Text(_) => is_of_another_kind(column),
        }
    }

    fn text(&self, column: usize) -> sqlx::Result<Option<&str>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            Cell::Integer(_) => is_of_another_kind(column),
        }
    }

    fn bytes(&self, column: usize) -> sqlx::Result<Option<Cow<'_, [u8]>>> {
        let bytes = self.text(column)?.map(unhex);
        bytes.map_or(Ok(None), |bytes| bytes.map_or_else(|| is_of_another_kind(column), |bytes| Ok(Some(bytes.into()))))
    }

    fn flag(&self, column: usize) -> sqlx::Result<Option<bool>> {
        Ok(self.integer(column)?.map(|number| number != 0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of columns")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut columns: A) -> Result<Line<'de>, A::Error> {
        // What serde makes of a list grows as it is read, four times for each key.
        let mut cells = Vec::with_capacity(COLUMNS);
        while let Some(cell) = columns.next_element()? {
            cells.push(cell);
        }
        Ok(Line(cells))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a whole number or nothing")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Cell<'de>, E> {
        i64::try_from(number).map(Cell::Integer).map_err(E::custom)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests;
