//! Reports of usage while somebody keeps their table from them.

use std::sync::Arc;

use gateway_keystore::{
    Action, KeyChange, KeyRepository, UsageGrouping, UsageLedger, UsageQuery, UsageSpan, UsageSums,
};
use gateway_testing::store_conformance::{Subject, note, plain_key, write};
use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::task::{JoinSet, yield_now};

use crate::database::{Database, server};

const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'usage_hourly'::regclass";

async fn waiting(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(WAITING).fetch_one(connection).await.unwrap()
}

fn by_hour() -> UsageQuery {
    let grouping = UsageGrouping { span: Some(UsageSpan::Hour), ..UsageGrouping::default() };
    UsageQuery { hours: Timestamp::UNIX_EPOCH..Timestamp::MAX, grouping, after: None, limit: 10 }
}

#[tokio::test]
async fn a_key_is_revoked_whatever_number_of_reports_are_asked_for() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    write(&*database.backend(), KeyChange::Insert(plain_key("leaked"))).await;
    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    holder.execute("BEGIN; LOCK TABLE usage_hourly IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut reports = JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&database.store);
        let report = reports.spawn(async move { store.usage(&by_hour()).await });
        if number == 0 {
            while waiting(&mut holder).await == 0 {
                yield_now().await;
            }
            // Whoever gives up does not make room for another: the server is still at it.
            report.abort();
        }
    }
    assert!(reports.join_next().await.unwrap().unwrap_err().is_cancelled());
    let removal = KeyChange::Remove("leaked".into());
    database.store.write(&removal, &note(Action::DeleteKey, "leaked")).await.unwrap();
    assert!(reports.try_join_next().is_none(), "no report is done, and none was waited for");
    assert_eq!(waiting(&mut holder).await, 1, "one at a time");
    holder.execute("COMMIT").await.unwrap();
    for page in reports.join_all().await {
        assert_eq!(page.unwrap().totals, Some(UsageSums::default()), "each has its turn");
    }
    holder.close().await.unwrap();
}
