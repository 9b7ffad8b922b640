//! The store in PostgreSQL, against a real server. Skipped where there is none.

#![allow(clippy::unwrap_used, clippy::panic)]

mod access;
mod database;
mod outages;
mod proxy;
mod reports;
mod schema;
mod triggers;

use gateway_testing::store_conformance;

use crate::database::{Database, server};

#[tokio::test]
async fn postgresql_conforms() {
    let Some(server) = server() else { return };
    store_conformance::run(async || Database::with_tables(server).await).await;
}
