//! What goes wrong in a database, and what the rest of the gateway is told of it.

use gateway_keystore::StoreError;
use sqlx::migrate::MigrateError;
use tokio::time::error::Elapsed;

use crate::sql_store::Dialect;

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// The database or the way to it.
    Sql(sqlx::Error),
    /// It took too long.
    Slow(Elapsed),
    /// Something that has a name already.
    Known(StoreError),
}

impl Failure {
    /// What the database holds makes no sense.
    pub fn damaged(problem: impl Into<String>) -> Self {
        Self::Known(StoreError::Damaged { problem: problem.into() })
    }

    /// The same as the rest of the gateway knows it.
    pub fn told<D: Dialect>(self) -> StoreError {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => {
                // Neither driver tells which table a value was to be unique in, but both say it in their message.
                let is_about = |table| error.is_unique_violation() && error.message().contains(table);
                match error.code() {
                    _ if is_about("key_digests") => StoreError::TakenKey,
                    _ if is_about("master_keys") => StoreError::TakenId,
                    Some(code) if D::is_damage(&code) => StoreError::Damaged { problem: error.message().to_owned() },
                    _ => StoreError::Unavailable { source: error.into() },
                }
            }
            Self::Sql(error) => StoreError::Unavailable { source: error.into() },
            Self::Slow(error) => StoreError::Unavailable { source: error.into() },
            Self::Known(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Elapsed> for Failure {
    fn from(error: Elapsed) -> Self {
        Self::Slow(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Known(error)
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::Sql(error),
            error => Self::damaged(error.to_string()),
        }
    }
}
