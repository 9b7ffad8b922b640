//! Getting in, and what is said when that fails.

use std::error::Error;

use gateway_keystore::{Action, KeyChange, KeyFeed, KeyRepository, StoreError};
use gateway_store::{Dialect, Schema};
use gateway_testing::store_conformance::{note, plain_key};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::net::TcpListener;

use crate::database::{Database, server, store};

/// Everything that is ever said of an error.
fn words(error: &StoreError) -> String {
    let source = error.source().map(|source| format!("{source} {source:?}"));
    format!("{error} {error:?} {source:?}")
}

#[tokio::test]
async fn the_password_is_in_nothing_that_is_said() {
    let Some(server) = server() else { return };
    let url = server.url();
    for (url, secret) in [
        (url.replace("for-tests-only", "wrong-geheim"), "geheim"),
        (format!("{url}_missing"), "for-tests-only"),
        (format!("{url}?sslmode=require"), "for-tests-only"),
        ("postgres://user:geheim@127.0.0.1:1/db".to_owned(), "geheim"),
        ("postgres://user:geheim@no-such-host.invalid/db".to_owned(), "geheim"),
    ] {
        let store = store(&url);
        let error = store.changes(None).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        let said = format!("{} {store:?}", words(&error));
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn it_is_said_why_the_store_cannot_be_reached() {
    let Some(server) = server() else { return };
    for (url, expected) in [
        (server.url().replace("for-tests-only", "wrong"), "password authentication failed"),
        (format!("{}_missing", server.url()), "does not exist"),
        ("postgres://127.0.0.1:1/db".to_owned(), "refused"),
    ] {
        let error = store(&url).changes(None).await.unwrap_err();
        assert!(words(&error).contains(expected), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = store(&format!("postgres://user:password@{}/db", silent.local_addr().unwrap()));
    assert!(matches!(store.migrate_up().await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(store.changes(None).await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn the_server_is_told_who_is_there() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let sql = "DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gateway-server' \
               AND datname = current_database()) > 0; END $$";
    server.execute(&database.url, sql);
}

#[tokio::test]
async fn it_is_said_why_nothing_was_written() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let name = database.url.rsplit_once('/').unwrap().1;
    server.execute(&database.url, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let store = store(&database.url);
    let change = KeyChange::Insert(plain_key("key"));
    let answer = store.write(&change, &note(Action::CreateKey, "key")).await;
    let Err(error @ StoreError::Refused { .. }) = answer else { panic!("{answer:?}") };
    assert!(error.with_cause().contains("read-only transaction"), "{}", error.with_cause());
    assert!(store.key("key").await.unwrap().is_none());
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_given_up_before_the_answer_is() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let mut holder = PgConnection::connect_with(database.store.dialect().options()).await.unwrap();
    holder.execute("BEGIN; LOCK TABLE master_keys IN EXCLUSIVE MODE").await.unwrap();
    let change = KeyChange::Insert(plain_key("key"));
    let answer = database.store.write(&change, &note(Action::CreateKey, "key")).await;
    let Err(error @ StoreError::Refused { .. }) = answer else { panic!("{answer:?}") };
    assert!(error.with_cause().contains("lock timeout"), "{}", error.with_cause());
    assert!(database.store.key("key").await.unwrap().is_none());
    holder.execute("COMMIT").await.unwrap();
    database.store.write(&change, &note(Action::CreateKey, "key")).await.unwrap();
}
