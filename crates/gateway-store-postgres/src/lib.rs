//! The durable store in PostgreSQL 13 or later, for any number of nodes.
//!
//! [`open`] gives a [`PostgresStore`]. Everything but what is particular to PostgreSQL is `gateway-store`'s: here are the
//! tables and their triggers, how to get in, and how a node hears of another's changes.

mod listener;
mod url;

use futures_util::future::BoxFuture;
use gateway_keystore::StoreFuture;
use gateway_secret::Secret;
use gateway_store::{Dialect, Failure, Fault, Migration, OpenError, SqlStore, Statements, add_usage, migrations};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Executor, Postgres};

use crate::listener::Listener;

/// A store in a PostgreSQL database.
pub type PostgresStore = SqlStore<PostgreSql>;

/// A PostgreSQL database.
pub struct PostgreSql {
    options: PgConnectOptions,
    listener: Listener,
}

/// A store in the database of this URL, `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full`. Connects when it is
/// first asked for something, and then within three seconds or not at all.
///
/// `sslmode` is one of `disable`, `allow`, `prefer` (as without one), `require`, `verify-ca` and `verify-full`; `sslrootcert`,
/// `sslcert` and `sslkey` name files. Only `verify-full` knows whom it talks to.
pub fn open(url: &Secret) -> Result<PostgresStore, OpenError> {
    let options = url::options(url)?;
    Ok(SqlStore::new(PostgreSql { listener: Listener::new(options.clone()), options }))
}

impl Dialect for PostgreSql {
    type Driver = Postgres;

    const STATEMENTS: Statements = Statements {
        begin_read: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        begin_write: "BEGIN",
        // A node may wait here for another that makes a long migration, and be told so by its own patience alone. The number is
        // this program's own: the ASCII codes of "gateway".
        //
        // Then not for long: whoever waits for a table that somebody reads, to change it, has all other readers of it wait
        // behind. It is given up well before these give up, which have the time of `prepare`, and tried again later.
        lock_schema: &[
            "SET LOCAL lock_timeout = 0",
            "SET LOCAL statement_timeout = 0",
            "SELECT pg_advisory_xact_lock(29099075147620729)",
            "SET LOCAL lock_timeout = '2s'",
            "SET LOCAL statement_timeout = '60s'",
        ],
        find_migrations: "SELECT 1 WHERE to_regclass('_sqlx_migrations') IS NOT NULL",
        every_key_packed: None,
        spend: "INSERT INTO budget_spent (account, period, window_start, amount) \
                SELECT entry ->> 0, entry ->> 1, (entry ->> 2)::BIGINT, (entry ->> 3)::BIGINT \
                FROM json_array_elements($1::JSON) AS entries (entry) ORDER BY 1, 2, 3 \
                ON CONFLICT (account, period, window_start) DO UPDATE SET amount = CASE \
                WHEN budget_spent.amount > 9223372036854775807 - excluded.amount THEN 9223372036854775807 \
                ELSE budget_spent.amount + excluded.amount END \
                RETURNING account, period, window_start, amount",
        // In order: two nodes that lock rows in different orders would wait for each other.
        add_usage: add_usage!(
            "SELECT (entry ->> 0)::BIGINT, entry ->> 1, entry ->> 2, entry ->> 3, (entry ->> 4)::BIGINT, \
             (entry ->> 5)::BIGINT, (entry ->> 6)::BIGINT, (entry ->> 7)::BIGINT, (entry ->> 8)::BIGINT, \
             (entry ->> 9)::BIGINT, (entry ->> 10)::BIGINT \
             FROM json_array_elements($1::JSON) AS entries (entry) ORDER BY 1, 2, 3, 4"
        ),
        // A row that is locked is being touched by another node, or changed; either way this time matters little, and
        // skipping it means never to wait, least of all for one another.
        touch: "UPDATE master_keys SET last_used_at = used.at FROM ( \
                SELECT id, (entry ->> 1)::BIGINT AS at FROM json_array_elements($1::JSON) AS entries (entry) \
                JOIN master_keys ON id = entry ->> 0 WHERE coalesce(last_used_at < (entry ->> 1)::BIGINT, TRUE) \
                FOR NO KEY UPDATE OF master_keys SKIP LOCKED \
                ) AS used WHERE master_keys.id = used.id",
    };

    const MIGRATIONS: &'static [Migration] = migrations![1 "keys", 2 "budget_spent", 3 "settings", 4 "usage"];
    // <https://www.postgresql.org/docs/current/datatype-character.html>.
    const HOLDS_NUL: bool = false;

    fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    fn place(&self) -> String {
        let options = &self.options;
        let host = options.get_socket().map_or_else(|| options.get_host().into(), |socket| socket.to_string_lossy());
        let database = options.get_database().unwrap_or(options.get_username());
        format!("{host}:{}/{database}", options.get_port())
    }

    fn prepare<'c>(&'c self, connection: &'c mut PgConnection) -> BoxFuture<'c, Result<(), Failure>> {
        // What this side has given up waiting for must not go on over there, holding locks. A lock is given up before this
        // side does, so that it is known that nothing was done, and why.
        const LIMITS: &str = "SET statement_timeout = '60s'; SET lock_timeout = '8s'; \
                              SET idle_in_transaction_session_timeout = '60s'";
        Box::pin(async move {
            connection.execute(LIMITS).await?;
            Ok(())
        })
    }

    fn changed(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.listener.changed().await;
            Ok(())
        })
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        // Codes and their classes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
        match error.code().as_deref().unwrap_or_default() {
            // data_corrupted and index_corrupted.
            "XX001" | "XX002" => Fault::Damage,
            // unique_violation.
            "23505" => Fault::duplicate_in(error.table().unwrap_or_default()),
            // idle_in_transaction_session_timeout.
            "25P03" => Fault::Disconnected,
            // Connection exceptions, and operators who end connections or the server.
            code if code.starts_with("08") || code.starts_with("57P") => Fault::Disconnected,
            // Constraint violations, and errors of syntax and of privilege.
            code if code.starts_with("23") || code.starts_with("42") => Fault::Never,
            _ => Fault::NotNow,
        }
    }
}
