//! What goes wrong in a database, and what the rest of the gateway is told of it.

use gateway_keystore::StoreError;
use sqlx::migrate::MigrateError;
use tokio::time::error::Elapsed;

use crate::connections::Misplaced;
use crate::sql_store::Dialect;

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// The database or the way to it.
    Sql(sqlx::Error),
    /// It took too long.
    Slow,
    /// Something that has a name already.
    Known(StoreError),
}

/// What an error of a database is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The identifier or the name of a new entry is another's.
    TakenId,
    /// The value of a key is another's.
    TakenKey,
    /// What the database holds makes no sense.
    Damage,
    /// The connection is of no use any more, and what was asked on it may have been done or not.
    Disconnected,
    /// The statement can never succeed.
    Never,
    /// The statement did not succeed this time.
    NotNow,
}

impl Fault {
    /// A value is in this table already that has to be unique in it.
    pub fn duplicate_in(table: &str) -> Self {
        match table {
            "master_keys" | "providers" | "models" => Self::TakenId,
            "key_digests" => Self::TakenKey,
            _ => Self::Never,
        }
    }
}

/// The database did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("there is no answer")]
struct NoAnswer;

/// Nobody has given a connection back in time.
#[derive(Debug, thiserror::Error)]
#[error("all connections that this process makes to it are in use")]
struct AllInUse;

/// A report was given up.
#[derive(Debug, thiserror::Error)]
#[error("the report took longer than it may; ask of a shorter time")]
struct LongReport;

impl Failure {
    /// What the database holds makes no sense.
    pub fn damaged(problem: impl Into<String>) -> Self {
        Self::Known(StoreError::Damaged { problem: problem.into() })
    }

    /// What keeps a connection from being made keeps the database out of reach, even if it says so itself.
    pub(super) fn while_connecting<D: Dialect>(self) -> Self {
        match self {
            Self::Sql(sqlx::Error::Database(error)) if D::fault(&*error) != Fault::Damage => {
                Self::Known(StoreError::Unavailable { source: error.into() })
            }
            failure => failure,
        }
    }

    /// What the store is kept in cannot be used until somebody sees to it.
    pub(crate) fn misplaced(problem: impl Into<String>) -> Self {
        Self::Known(StoreError::Unavailable { source: Box::new(Misplaced { problem: problem.into() }) })
    }

    /// No connection was free in time.
    pub(crate) fn all_in_use() -> Self {
        Self::Known(StoreError::Unavailable { source: AllInUse.into() })
    }

    /// A report of usage took too long. That says nothing of the store but that it has much to read.
    pub(super) fn long_report() -> Self {
        Self::Known(StoreError::Refused { source: LongReport.into() })
    }

    /// The same as the rest of the gateway knows it.
    pub fn into_store_error<D: Dialect>(self) -> StoreError {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => match D::fault(&*error) {
                Fault::TakenId => StoreError::TakenId,
                Fault::TakenKey => StoreError::TakenKey,
                Fault::Damage => StoreError::Damaged { problem: error.message().to_owned() },
                Fault::Disconnected => StoreError::Unavailable { source: error.into() },
                Fault::Never | Fault::NotNow => StoreError::Refused { source: error.into() },
            },
            Self::Sql(error) => StoreError::Unavailable { source: error.into() },
            Self::Slow => StoreError::Unavailable { source: NoAnswer.into() },
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
    fn from(_: Elapsed) -> Self {
        Self::Slow
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
