//! How fast a large store is read. Run by hand, in a release build:
//! `cargo test --release -p gateway-store --test sqlite -- --ignored --nocapture`.

use gateway_keystore::{KeyDirectory, KeyFeed};
use gateway_testing::store_conformance::Subject;
use tokio::time::Instant;

use crate::file::File;

const KEYS: usize = 100_000;

/// Keys as they are, with limits that most of them share.
const ROWS: &str = r#"
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
    INSERT INTO master_keys (id, name, digest, preview, allowed_models, rate_limit, budget)
    SELECT printf('key_%022d', n), 'Somebody''s key', randomblob(32), 'sk-gw-AbC…xyz', '["gpt-4o*","claude-*"]',
        '{"requests_per_minute":600}', '{"usd":50.0,"period":"month"}'
    FROM numbers"#;

#[tokio::test]
#[ignore = "measures, and asserts nothing about time"]
async fn a_hundred_thousand_keys() {
    let file = File::with_tables().await;
    let start = Instant::now();
    file.execute(ROWS).await;
    println!("{KEYS} keys written in {:?}", start.elapsed());
    let directory = KeyDirectory::default();
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
