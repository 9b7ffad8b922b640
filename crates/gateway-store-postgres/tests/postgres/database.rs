//! A store in a database of a test's own.

use std::sync::{Arc, LazyLock};

use gateway_secret::Secret;
use gateway_store::{Backend, Schema, Vault};
use gateway_store_postgres::{PostgresStore, open};
use gateway_testing::PostgresServer;
use gateway_testing::store_conformance::Subject;

/// The server that tests share which leave it running.
pub(crate) fn server() -> Option<&'static PostgresServer> {
    static SERVER: LazyLock<Option<PostgresServer>> = LazyLock::new(PostgresServer::start);
    SERVER.as_ref()
}

/// A store, and the database that it is in.
pub(crate) struct Database {
    server: &'static PostgresServer,
    pub(crate) url: String,
    pub(crate) store: Arc<PostgresStore>,
}

impl Database {
    pub(crate) fn empty(server: &'static PostgresServer) -> Self {
        let url = server.create_database();
        let store = Arc::new(store(&url));
        Self { server, url, store }
    }

    pub(crate) async fn with_tables(server: &'static PostgresServer) -> Self {
        let database = Self::empty(server);
        database.store.migrate_up().await.unwrap();
        database
    }
}

pub(crate) fn store(url: &str) -> PostgresStore {
    open(&Secret::from(url)).unwrap()
}

impl Subject for Database {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.store) as Arc<dyn Backend>
    }

    fn sealing(&self) -> Arc<dyn Backend> {
        let vault = Vault::new(&Secret::from("11".repeat(32))).unwrap();
        Arc::new(store(&self.url).sealed_with(Some(Arc::new(vault))))
    }

    async fn execute(&self, sql: &str) {
        self.server.execute(&self.url, sql);
    }

    fn bytes(&self, hex: &str) -> String {
        format!("'\\x{hex}'")
    }
}
