//! How the tables change from release to release.

use gateway_keystore::{Pending, StoreError};
use sqlx::migrate::{AppliedMigration, Migrate, Migration, MigrationType};
use sqlx::{Connection, SqlSafeStr};

use super::{Dialect, Driven, Failure, LONG_PATIENCE, SqlStore, count, within};
use crate::Schema;

/// Where the steps that were made are kept: where sqlx's own tools look for them.
const TABLE: &str = "_sqlx_migrations";

/// One change of the tables.
#[derive(Debug)]
pub struct Step {
    /// Its number: 1, 2, 3, …
    pub version: i64,
    /// What it brings, in a word.
    pub name: &'static str,
    /// The statements that make it.
    pub up: &'static str,
    /// The statements that take it back.
    pub down: &'static str,
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
    Nowhere,
}

impl<D: Dialect> Schema for SqlStore<D> {
    fn version(&self) -> Pending<'_, i64> {
        self.go(Way::Nowhere)
    }

    fn migrate_up(&self) -> Pending<'_, i64> {
        self.go(Way::Up)
    }

    fn migrate_down(&self) -> Pending<'_, i64> {
        self.go(Way::Down)
    }

    fn known_version(&self) -> i64 {
        known::<D>()
    }
}

impl<D: Dialect> SqlStore<D> {
    fn go(&self, way: Way) -> Pending<'_, i64> {
        within::<D, _>(LONG_PATIENCE, async move {
            let mut connection = self.lease().await?;
            let version = match glance::<D>(&mut connection, way).await? {
                Some(version) => version,
                None => migrate::<D>(&mut connection, way).await.map_err(cannot_be_made::<D>)?,
            };
            connection.give_back();
            Ok(version)
        })
    }
}

/// Where nothing has to be changed, nothing is locked, and the right to change tables is not needed either.
async fn glance<D: Dialect>(connection: &mut Driven<D>, way: Way) -> Result<Option<i64>, Failure> {
    // Most likely there is no table yet. Whatever it is, those who go on meet it again.
    let Ok(made) = connection.list_applied_migrations(TABLE).await else { return Ok(None) };
    Ok(match way {
        Way::Nowhere => Some(last(&made)),
        Way::Up if missing::<D>(&made)?.is_empty() => Some(known::<D>()),
        Way::Up | Way::Down => None,
    })
}

/// All in one transaction that holds the lock. sqlx's own lock is none at all on SQLite, and on PostgreSQL it is left behind
/// by a step that fails.
async fn migrate<D: Dialect>(connection: &mut Driven<D>, way: Way) -> Result<i64, Failure> {
    let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
    for statement in D::STATEMENTS.lock_schema {
        count::<D>(&mut transaction, statement, &[]).await?;
    }
    transaction.ensure_migrations_table(TABLE).await?;
    let made = transaction.list_applied_migrations(TABLE).await?;
    let version = match way {
        Way::Nowhere => last(&made),
        Way::Up => {
            for step in missing::<D>(&made)? {
                transaction.apply(TABLE, &step).await?;
            }
            known::<D>()
        }
        Way::Down => {
            missing::<D>(&made)?;
            take_back::<D>(&mut transaction, last(&made)).await?
        }
    };
    match way {
        Way::Nowhere => transaction.rollback().await?,
        Way::Up | Way::Down => transaction.commit().await?,
    }
    Ok(version)
}

fn known<D: Dialect>() -> i64 {
    D::STEPS.last().map_or(0, |step| step.version)
}

fn last(made: &[AppliedMigration]) -> i64 {
    made.last().map_or(0, |step| step.version)
}

/// The steps that are not made yet, if those that are made are this program's.
fn missing<D: Dialect>(made: &[AppliedMigration]) -> Result<Vec<Migration>, Failure> {
    let (found, known) = (last(made), known::<D>());
    if found > known {
        return Err(StoreError::TooNew { found, known }.into());
    }
    let mut missing = Vec::new();
    for step in D::STEPS {
        let up = migration(step, MigrationType::ReversibleUp, step.up);
        match made.iter().find(|made| made.version == step.version) {
            None => missing.push(up),
            Some(made) if made.checksum == up.checksum => {}
            Some(_) => {
                let problem = format!("step {} of its tables is not this program's", step.version);
                return Err(Failure::damaged(problem));
            }
        }
    }
    Ok(missing)
}

async fn take_back<D: Dialect>(connection: &mut Driven<D>, found: i64) -> Result<i64, Failure> {
    let mut steps = D::STEPS.iter().filter(|step| step.version <= found).rev();
    let Some(step) = steps.next() else { return Ok(0) };
    connection.revert(TABLE, &migration(step, MigrationType::ReversibleDown, step.down)).await?;
    Ok(steps.next().map_or(0, |step| step.version))
}

fn migration(step: &Step, way: MigrationType, sql: &'static str) -> Migration {
    Migration::new(step.version, step.name.into(), way, sql.into_sql_str(), false)
}

/// A step that can never be made is no outage: to try again for ever would be to never say so.
fn cannot_be_made<D: Dialect>(failure: Failure) -> Failure {
    match failure {
        Failure::Sql(sqlx::Error::Database(error)) if error.code().is_some_and(|code| D::is_refusal(&code)) => {
            Failure::damaged(format!("its tables cannot be made: {}", error.message()))
        }
        failure => failure,
    }
}
