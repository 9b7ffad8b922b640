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
        within::<D, _>(LONG_PATIENCE, self.migrate(Way::Nowhere))
    }

    fn migrate_up(&self) -> Pending<'_, i64> {
        within::<D, _>(LONG_PATIENCE, self.migrate(Way::Up))
    }

    fn migrate_down(&self) -> Pending<'_, i64> {
        within::<D, _>(LONG_PATIENCE, self.migrate(Way::Down))
    }

    fn known_version(&self) -> i64 {
        D::STEPS.last().map_or(0, |step| step.version)
    }
}

impl<D: Dialect> SqlStore<D> {
    /// All in one transaction that holds the lock. sqlx's own lock is none at all on SQLite, and on PostgreSQL it is left
    /// behind by a step that fails.
    async fn migrate(&self, way: Way) -> Result<i64, Failure> {
        let known = self.known_version();
        let mut connection = self.lease().await?;
        let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
        for statement in D::STATEMENTS.lock_schema {
            count::<D>(&mut transaction, statement, &[]).await?;
        }
        transaction.ensure_migrations_table(TABLE).await?;
        let made = transaction.list_applied_migrations(TABLE).await?;
        let found = made.last().map_or(0, |step| step.version);
        let version = match way {
            Way::Nowhere => found,
            Way::Up | Way::Down if found > known => return Err(StoreError::TooNew { found, known }.into()),
            Way::Up => up::<D>(&mut transaction, &made).await?,
            Way::Down => down::<D>(&mut transaction, found).await?,
        };
        match way {
            Way::Nowhere => transaction.rollback().await?,
            Way::Up | Way::Down => transaction.commit().await?,
        }
        connection.give_back();
        Ok(version)
    }
}

async fn up<D: Dialect>(connection: &mut Driven<D>, made: &[AppliedMigration]) -> Result<i64, Failure> {
    let mut version = 0;
    for step in D::STEPS {
        version = step.version;
        let name = step.name.into();
        let migration = Migration::new(version, name, MigrationType::ReversibleUp, step.up.into_sql_str(), false);
        match made.iter().find(|made| made.version == version) {
            Some(made) if made.checksum == migration.checksum => {}
            Some(_) => return Err(Failure::damaged(format!("step {version} of its tables is not this program's"))),
            None => drop(connection.apply(TABLE, &migration).await?),
        }
    }
    Ok(version)
}

async fn down<D: Dialect>(connection: &mut Driven<D>, found: i64) -> Result<i64, Failure> {
    let steps = D::STEPS.iter().filter(|step| step.version <= found);
    let mut last = steps.rev();
    let Some(step) = last.next() else { return Ok(0) };
    let name = step.name.into();
    let migration = Migration::new(step.version, name, MigrationType::ReversibleDown, step.down.into_sql_str(), false);
    connection.revert(TABLE, &migration).await?;
    Ok(last.next().map_or(0, |step| step.version))
}
