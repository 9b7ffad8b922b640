//! Reports of usage, of which there is one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use gateway_keystore::{
    Action, KeyChange, KeyFeed, KeyRepository, StoreFuture, UsageGrouping, UsageLedger, UsageQuery, UsageSums,
};
use gateway_store::{Dialect, Driven, Failure, Fault, Migration, SqlStore, SqliteFile, SqliteStore, Statements};
use gateway_testing::store_conformance::{Subject, note, plain_key, write};
use jiff::Timestamp;
use sqlx::error::DatabaseError;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

use crate::file::File;

/// SQLite to which the first connection takes as long as it is told to.
struct Gated {
    store: Arc<SqliteStore>,
    arrived: Arc<Semaphore>,
    gate: Arc<Semaphore>,
    connections: Arc<AtomicUsize>,
}

impl Dialect for Gated {
    type Driver = sqlx::Sqlite;

    const HOLDS_NUL: bool = true;
    const STATEMENTS: Statements = SqliteFile::STATEMENTS;
    const MIGRATIONS: &'static [Migration] = SqliteFile::MIGRATIONS;

    fn options(&self) -> &sqlx::sqlite::SqliteConnectOptions {
        self.store.dialect().options()
    }

    fn place(&self) -> String {
        self.store.dialect().place()
    }

    fn prepare<'c>(&'c self, connection: &'c mut Driven<Self>) -> BoxFuture<'c, Result<(), Failure>> {
        Box::pin(async {
            self.store.dialect().prepare(connection).await?;
            if self.connections.fetch_add(1, Ordering::Relaxed) == 0 {
                self.arrived.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
            }
            Ok(())
        })
    }

    fn changed(&self) -> StoreFuture<'_, ()> {
        self.store.changed()
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        SqliteFile::fault(error)
    }
}

#[tokio::test]
async fn a_key_is_revoked_whatever_number_of_reports_are_asked_for() {
    let file = File::with_tables().await;
    write(&*file.backend(), KeyChange::Insert(plain_key("leaked"))).await;
    let [arrived, gate] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let connections = Arc::<AtomicUsize>::default();
    let gated = Gated {
        store: Arc::clone(&file.store),
        arrived: Arc::clone(&arrived),
        gate: Arc::clone(&gate),
        connections: Arc::clone(&connections),
    };
    let store = Arc::new(SqlStore::new(gated));
    let mut reports = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        reports.spawn(async move {
            let hours = Timestamp::UNIX_EPOCH..Timestamp::MAX;
            store.usage(&UsageQuery { hours, grouping: UsageGrouping::default(), after: None, limit: 10 }).await
        });
    }
    arrived.acquire().await.unwrap().forget();
    for _ in 0..8 {
        yield_now().await;
    }
    let removal = KeyChange::Remove("leaked".into());
    store.write(&removal, &note(Action::DeleteKey, "leaked")).await.unwrap();
    assert_eq!(connections.load(Ordering::Relaxed), 2, "a report's, and that of the removal");
    assert!(reports.try_join_next().is_none(), "no report is done, and none was waited for");
    gate.add_permits(1);
    for page in reports.join_all().await {
        assert_eq!(page.unwrap().totals, Some(UsageSums::default()), "each has its turn");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 2, "one after the other");
}
