//! How the tables change from release to release.

use gateway_keystore::{StoreError, StoreFuture};
use sqlx::migrate::{AppliedMigration, Migrate, MigrationType};
use sqlx::{Connection, SqlSafeStr, Transaction};

use super::{Dialect, Driven, Failure, Fault, LONG_PATIENCE, PATIENCE, SqlStore, count, within};
use crate::Schema;

/// Where it is kept which migrations were made: where sqlx's own tools look for it.
const TABLE: &str = "_sqlx_migrations";

/// One change of the tables.
#[derive(Debug)]
pub struct Migration {
    /// Its number: 1, 2, 3, …
    pub version: i64,
    /// What it brings, in a word.
    pub name: &'static str,
    /// The statements that make it.
    pub up: &'static str,
    /// The statements that undo it.
    pub down: &'static str,
}

/// The migrations of a crate, each by its number and name: `migrations![1 "keys"]` takes `migrations/1_keys.up.sql` and
/// `migrations/1_keys.down.sql`, which have to be beside the `src` that this stands in.
#[macro_export]
macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        &[$($crate::Migration {
            version: $version,
            name: $name,
            up: include_str!(concat!("../migrations/", $version, "_", $name, ".up.sql")),
            down: include_str!(concat!("../migrations/", $version, "_", $name, ".down.sql")),
        }),+]
    };
}

impl<D: Dialect> Schema for SqlStore<D> {
    fn version(&self) -> StoreFuture<'_, i64> {
        within::<D, _>(PATIENCE, async move {
            let mut connection = self.lease().await?;
            let version = last(&applied::<D>(&mut connection).await?);
            connection.give_back();
            Ok(version)
        })
    }

    fn migrate_up(&self) -> StoreFuture<'_, i64> {
        within::<D, _>(LONG_PATIENCE, async move {
            let mut connection = self.lease().await?;
            // Where nothing is missing, nothing is locked, and the right to change tables is not needed either.
            if !missing::<D>(&applied::<D>(&mut connection).await?)?.is_empty() {
                up::<D>(&mut connection).await.map_err(cannot_be_made::<D>)?;
            }
            connection.give_back();
            Ok(known::<D>())
        })
    }

    fn migrate_down(&self) -> StoreFuture<'_, i64> {
        within::<D, _>(LONG_PATIENCE, async move {
            let mut connection = self.lease().await?;
            let version = down::<D>(&mut connection).await.map_err(cannot_be_made::<D>)?;
            connection.give_back();
            Ok(version)
        })
    }

    fn known_version(&self) -> i64 {
        known::<D>()
    }
}

/// The migrations that were made, none if there is no table of them. Only reads, and waits for nobody who migrates.
async fn applied<D: Dialect>(connection: &mut Driven<D>) -> Result<Vec<AppliedMigration>, Failure> {
    if count::<D>(connection, D::STATEMENTS.find_migrations, &[]).await? == 0 {
        return Ok(Vec::new());
    }
    Ok(connection.list_applied_migrations(TABLE).await?)
}

/// Begins a transaction that holds the lock, and reads in it which migrations were made. sqlx's own lock is none at all on
/// SQLite, and on PostgreSQL it is left behind by a migration that fails.
async fn begin<D: Dialect>(
    connection: &mut Driven<D>,
) -> Result<(Transaction<'_, D::Driver>, Vec<AppliedMigration>), Failure> {
    let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
    for statement in D::STATEMENTS.lock_schema {
        count::<D>(&mut transaction, statement, &[]).await?;
    }
    transaction.ensure_migrations_table(TABLE).await?;
    let applied = transaction.list_applied_migrations(TABLE).await?;
    Ok((transaction, applied))
}

async fn up<D: Dialect>(connection: &mut Driven<D>) -> Result<(), Failure> {
    let (mut transaction, applied) = begin::<D>(connection).await?;
    for migration in missing::<D>(&applied)? {
        transaction.apply(TABLE, &migration).await?;
    }
    Ok(transaction.commit().await?)
}

/// Returns the version of the tables as they are then.
async fn down<D: Dialect>(connection: &mut Driven<D>) -> Result<i64, Failure> {
    let (mut transaction, applied) = begin::<D>(connection).await?;
    missing::<D>(&applied)?;
    let found = last(&applied);
    let mut known = D::MIGRATIONS.iter().filter(|migration| migration.version <= found).rev();
    let Some(latest) = known.next() else {
        transaction.rollback().await?;
        return Ok(0);
    };
    transaction.revert(TABLE, &sqlx_migration(latest, MigrationType::ReversibleDown, latest.down)).await?;
    transaction.commit().await?;
    Ok(known.next().map_or(0, |migration| migration.version))
}

fn known<D: Dialect>() -> i64 {
    D::MIGRATIONS.last().map_or(0, |migration| migration.version)
}

fn last(applied: &[AppliedMigration]) -> i64 {
    applied.last().map_or(0, |migration| migration.version)
}

/// The migrations that are not made yet, if those that are made are this program's.
fn missing<D: Dialect>(applied: &[AppliedMigration]) -> Result<Vec<sqlx::migrate::Migration>, Failure> {
    let (found, known) = (last(applied), known::<D>());
    if found > known {
        return Err(StoreError::TooNew { found, known }.into());
    }
    let mut missing = Vec::new();
    for migration in D::MIGRATIONS {
        let up = sqlx_migration(migration, MigrationType::ReversibleUp, migration.up);
        match applied.iter().find(|applied| applied.version == migration.version) {
            None => missing.push(up),
            Some(applied) if applied.checksum == up.checksum => {}
            Some(_) => {
                let problem = format!("migration {} of its tables is not this program's", migration.version);
                return Err(Failure::damaged(problem));
            }
        }
    }
    Ok(missing)
}

fn sqlx_migration(migration: &Migration, kind: MigrationType, sql: &'static str) -> sqlx::migrate::Migration {
    sqlx::migrate::Migration::new(migration.version, migration.name.into(), kind, sql.into_sql_str(), false)
}

/// A migration that can never be made is no outage: to try again for ever would be to never say so.
fn cannot_be_made<D: Dialect>(failure: Failure) -> Failure {
    match failure {
        Failure::Sql(sqlx::Error::Database(error)) if D::fault(&*error) == Fault::Never => {
            Failure::damaged(format!("its tables cannot be made: {}", error.message()))
        }
        failure => failure,
    }
}
