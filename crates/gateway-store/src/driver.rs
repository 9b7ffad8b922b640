//! The one place that is generic over sqlx's drivers.
//!
//! Statements are written once, with `$1` for what is bound, which both SQLite and PostgreSQL take. What sqlx demands of
//! a driver before a value can be bound to it or read from it is a page of bounds; it stands here, and everybody else
//! asks for a [`Driver`].

use std::borrow::Cow;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::migrate::Migrate;
use sqlx::{ColumnIndex, Connection, Database, Decode, Encode, Executor, IntoArguments, Row, Type};

/// What is bound to a statement.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A number, or nothing.
    Integer(Option<i64>),
    /// Text, or nothing.
    Text(Option<&'a str>),
    /// Bytes, or nothing.
    Bytes(Option<&'a [u8]>),
    /// Yes or no.
    Flag(bool),
}

/// A database that sqlx can talk to in values of these kinds.
pub trait Driver: Database<Row: Cells, Connection: Migrate + Connection<Database = Self>> {
    /// Executes a statement and hands over each row of its answer.
    fn each<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static str,
        values: &[Value<'_>],
        take: &'c mut (dyn FnMut(&Self::Row) + Send),
    ) -> BoxFuture<'c, sqlx::Result<()>>;
}

impl<D> Driver for D
where
    D: Database<Row: Cells, Connection: Migrate, Arguments: IntoArguments<D>>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    for<'t> Option<i64>: Encode<'t, D> + Type<D>,
    for<'t> Option<&'t str>: Encode<'t, D> + Type<D>,
    for<'t> Option<&'t [u8]>: Encode<'t, D> + Type<D>,
    for<'t> bool: Encode<'t, D> + Type<D>,
{
    fn each<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static str,
        values: &[Value<'_>],
        take: &'c mut (dyn FnMut(&Self::Row) + Send),
    ) -> BoxFuture<'c, sqlx::Result<()>> {
        let query = values.iter().fold(sqlx::query::<D>(sql), |query, value| match *value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
            Value::Flag(value) => query.bind(value),
        });
        Box::pin(async move {
            let mut rows = query.fetch(connection);
            while let Some(row) = rows.try_next().await? {
                take(&row);
            }
            Ok(())
        })
    }
}

/// A row of an answer, by the numbers of its columns.
pub trait Cells {
    /// A number, or nothing.
    fn integer(&self, column: usize) -> sqlx::Result<Option<i64>>;
    /// Text, or nothing.
    fn text(&self, column: usize) -> sqlx::Result<Option<&str>>;
    /// Bytes, or nothing.
    fn bytes(&self, column: usize) -> sqlx::Result<Option<Cow<'_, [u8]>>>;
    /// Yes or no, or nothing.
    fn flag(&self, column: usize) -> sqlx::Result<Option<bool>>;
}

impl<R> Cells for R
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> &'r str: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> bool: Decode<'r, R::Database> + Type<R::Database>,
{
    fn integer(&self, column: usize) -> sqlx::Result<Option<i64>> {
        self.try_get(column).map_err(|error| in_plain_words(error, "is not a whole number"))
    }

    fn text(&self, column: usize) -> sqlx::Result<Option<&str>> {
        self.try_get(column).map_err(|error| in_plain_words(error, "is not text"))
    }

    fn bytes(&self, column: usize) -> sqlx::Result<Option<Cow<'_, [u8]>>> {
        let bytes: sqlx::Result<Option<&[u8]>> = self.try_get(column);
        let bytes = bytes.map_err(|error| in_plain_words(error, "is not bytes"))?;
        Ok(bytes.map(Cow::Borrowed))
    }

    fn flag(&self, column: usize) -> sqlx::Result<Option<bool>> {
        self.try_get(column).map_err(|error| in_plain_words(error, "is neither true nor false"))
    }
}

/// What is wrong with a value of another kind than its column is to have, for administrators; sqlx tells it to programmers.
fn in_plain_words(error: sqlx::Error, problem: &'static str) -> sqlx::Error {
    match error {
        sqlx::Error::ColumnDecode { index, .. } => sqlx::Error::ColumnDecode { index, source: problem.into() },
        error => error,
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}
