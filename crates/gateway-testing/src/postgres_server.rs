//! A PostgreSQL server of a test's own.

/// A throwaway server.
#[derive(Debug)]
pub struct PostgresServer {}
