use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::super::statements::EVERY_KEY;
use super::*;
use crate::sqlite::SqliteFile;

const TABLES: &str = include_str!("../../../migrations/1_keys.up.sql");

async fn store_of(rows: &[&str]) -> SqliteConnection {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql(TABLES).execute(&mut connection).await.unwrap();
    for row in rows {
        let insert = format!("INSERT INTO master_keys {row}");
        sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut connection).await.unwrap();
    }
    connection
}

async fn packed(connection: &mut SqliteConnection) -> Option<Vec<KeyRecord>> {
    every_key::<SqliteFile>(connection, SqliteFile::STATEMENTS.every_key_packed.unwrap()).await
}

#[tokio::test]
async fn packed_keys_are_those_of_the_columns() {
    let mut connection = store_of(&[
        "(id, name, digest) VALUES ('plain', 'x', randomblob(32))",
        "(id, name, digest, is_weak, is_enabled) VALUES ('flags', 'x', randomblob(32), TRUE, FALSE)",
        r#"(id, name, digest, metadata) VALUES ('text', 'a "b" \ ' || char(10) || 'ü€😀', randomblob(32), '{"a":"\n"}')"#,
        r#"(id, name, digest, previous_digest, previous_valid_until, expires_at, last_used_at, rate_limit, budget,
            allowed_models) VALUES ('all', 'x', randomblob(32), randomblob(32), 1, 2, 3, '{"limit":1}',
            '{"usd":0.5,"period":"day"}', '["gpt-*","m"]')"#,
        // Enough for several rows of them.
        "(id, name, digest) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
         SELECT 'key-' || i, 'x', randomblob(32) FROM n",
    ])
    .await;
    let mut keys = packed(&mut connection).await.expect("they can all be packed");
    let mut plain = Vec::new();
    let mut take = |row: &_| plain.push(row::read(row).unwrap());
    <SqliteFile as Dialect>::Driver::each(&mut connection, EVERY_KEY, &[], &mut take).await.unwrap();
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    plain.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(keys.len(), 254);
    assert_eq!(keys, plain);
}

#[tokio::test]
async fn one_odd_key_is_a_matter_for_the_columns() {
    assert_eq!(packed(&mut store_of(&[]).await).await, Some(vec![]));
    for odd in [
        "(id, name, digest) VALUES ('odd', x'00ff', randomblob(32))",
        "(id, name, digest) VALUES ('odd', 'x', randomblob(31))",
        "(id, name, digest, previous_digest) VALUES ('odd', 'x', randomblob(32), randomblob(32))",
        "(id, name, digest, rate_limit) VALUES ('odd', 'x', randomblob(32), '[]')",
        "(id, name, digest, expires_at) VALUES ('odd', 'x', randomblob(32), 'soon')",
        "(id, name, digest, expires_at) VALUES ('odd', 'x', randomblob(32), 1.5)",
    ] {
        let mut connection = store_of(&["(id, name, digest) VALUES ('fine', 'x', randomblob(32))", odd]).await;
        assert_eq!(packed(&mut connection).await, None, "{odd}");
    }
}
