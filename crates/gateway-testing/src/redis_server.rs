//! A Redis server of a test's own.

/// A throwaway server.
#[derive(Debug)]
pub struct RedisServer {}
