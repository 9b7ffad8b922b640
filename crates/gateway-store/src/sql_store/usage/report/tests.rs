#![allow(clippy::unwrap_used, clippy::panic)]

use gateway_keystore::UsageLedger;
use sqlx::{AssertSqlSafe, Row, Sqlite};
use tempfile::TempDir;

use super::*;
use crate::sqlite::SqliteFile;
use crate::{Schema, SqliteStore};

async fn store() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("gateway.db").to_str().unwrap()).unwrap();
    store.migrate_up().await.unwrap();
    (folder, store)
}

fn query() -> UsageQuery {
    UsageQuery {
        hours: Timestamp::UNIX_EPOCH..Timestamp::MAX,
        grouping: UsageGrouping::default(),
        after: None,
        limit: 10,
    }
}

#[tokio::test]
async fn hours_are_found_by_the_primary_key() {
    let (_folder, store) = store().await;
    let mut connection = store.lease().await.unwrap();
    for sql in [USAGE, HOUR_AFTER] {
        let plan = sqlx::query::<Sqlite>(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let plan = plan.fetch_all(&mut *connection).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
        assert!(steps[0].contains("USING PRIMARY KEY (hour>? AND hour<?)"), "{sql}: {steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{sql}: {steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whose_turn_does_not_come_is_told_that_others_are_asking() {
    let store = SqliteStore::open("/nowhere/gateway.db").unwrap();
    let _other = store.reports.acquire().await.unwrap();
    let refused = store.usage(&query()).await;
    assert!(
        matches!(refused, Err(StoreError::Busy)),
        "and not that the store is away, which it was not asked: {refused:?}"
    );
}

#[tokio::test]
async fn a_report_that_is_given_up_has_its_turn_until_the_database_has_done_with_it() {
    let (_folder, store) = store().await;
    let turn = Arc::clone(&store.reports).acquire_owned().await.unwrap();
    let reader = Reader::<SqliteFile> { inner: Some((store.lease().await.unwrap(), turn)) };
    drop(reader);
    assert_eq!(store.reports.available_permits(), 0);
    assert_eq!(store.usage(&query()).await.unwrap().totals, Some(UsageSums::default()), "the next one's turn comes");
}
