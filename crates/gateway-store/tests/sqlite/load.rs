//! How fast a large store is read. Run by hand, in a release build:
//! `cargo test --release -p gateway-store --test sqlite -- --ignored --nocapture`.

use std::fmt::Write;
use std::sync::Arc;

use gateway_keystore::{KeyDirectory, KeyFeed, KeyRecord};
use gateway_ratelimit::{Budget, BudgetPeriod, NanoUsd, RateLimit};
use gateway_secret::KeyDigest;
use gateway_testing::store_conformance::{Subject, plain_key};
use tokio::time::Instant;

use crate::file::{File, hex};

const KEYS: usize = 100_000;

/// A key of the size that keys have.
fn key(number: usize) -> KeyRecord {
    let id = format!("key_{number:022}");
    KeyRecord {
        rate_limit: Some(RateLimit { requests_per_minute: Some(600), ..RateLimit::default() }),
        budget: Some(Budget { limit: NanoUsd(50_000_000_000), period: BudgetPeriod::Month }),
        allowed_models: vec!["gpt-4o*".to_owned(), "claude-*".to_owned()],
        digest: KeyDigest::of(id.as_bytes()),
        ..plain_key(&id)
    }
}

#[tokio::test]
#[ignore = "measures, and asserts nothing about time"]
async fn a_hundred_thousand_keys() {
    let file = File::with_tables().await;
    let mut sql = String::from("BEGIN;");
    for number in 0..KEYS {
        let record = key(number);
        let digest = hex(&record.id);
        write!(
            sql,
            "INSERT INTO master_keys (id, name, digest, preview, allowed_models, rate_limit, budget) VALUES \
             ('{}', '{}', x'{digest}', '{}', '[\"gpt-4o*\",\"claude-*\"]', '{{\"requests_per_minute\":600}}', \
             '{{\"usd\":50.0,\"period\":\"month\"}}');",
            record.id, record.name, record.preview,
        )
        .unwrap();
    }
    file.execute(&(sql + "COMMIT;")).await;

    let directory = Arc::new(KeyDirectory::default());
    for round in 1..=3 {
        let start = Instant::now();
        let changes = file.store.changes(None).await.unwrap();
        let read = start.elapsed();
        let start = Instant::now();
        let refused = directory.apply(&changes);
        println!("round {round}: {KEYS} keys read in {read:?}, applied in {:?}", start.elapsed());
        assert!(refused.is_empty() && changes.unreadable.is_empty());
        assert_eq!(directory.len(), KEYS);
    }
}
