//! The store in SQLite, and everything about a store that is the same whatever it is in.

#![allow(clippy::unwrap_used, clippy::panic)]

mod book;
mod elsewhere;
mod file;
mod follower;
mod load;
mod opening;
mod refusing;
mod replaced;
mod reports;
mod schema;
mod settings;
mod shelf;
mod unsteady;

use gateway_testing::store_conformance;

use crate::file::File;

#[tokio::test]
async fn sqlite_conforms() {
    store_conformance::run(File::with_tables).await;
}
