//! What `/readyz` says of the store and of Redis.

use std::sync::Arc;

use gateway_core::Condition;
use gateway_ratelimit_redis::{RedisLimits, RedisStatus};
use gateway_store::{Follower, LoadedFrom};

use super::Awaited;

/// What the store is called there.
const STORE: &str = "store";

/// What `/readyz` says of the store. While it is away, known keys are served; before any are known, nothing is.
pub(super) struct StoreCondition(pub(super) Arc<Follower>);

impl Condition for StoreCondition {
    fn name(&self) -> &'static str {
        STORE
    }

    fn state(&self) -> &'static str {
        let follower = &self.0;
        let status = follower.status();
        match (status.is_reachable, status.needs_attention, status.loaded_from) {
            (true, ..) if follower.is_store_refusing() => "read only: it refused the last write",
            (true, ..) if follower.is_snapshot_failing() => "reachable, but the last good state cannot be written",
            (true, ..) => "reachable",
            (false, false, LoadedFrom::Store) => "unreachable, serving the keys known",
            (false, false, LoadedFrom::Snapshot) => "unreachable, serving the keys of the last good snapshot",
            (false, false, LoadedFrom::Nothing) => "unreachable, no keys known",
            (false, true, LoadedFrom::Store) => "unusable, serving the keys known",
            (false, true, LoadedFrom::Snapshot) => "unusable, serving the keys of the last good snapshot",
            (false, true, LoadedFrom::Nothing) => "unusable, no keys known",
        }
    }

    fn is_serviceable(&self) -> bool {
        self.0.status().loaded_from != LoadedFrom::Nothing
    }
}

/// The same of a store that may not be there yet.
pub(super) struct AwaitedCondition(pub(super) Arc<Awaited>);

impl Condition for AwaitedCondition {
    fn name(&self) -> &'static str {
        STORE
    }

    fn state(&self) -> &'static str {
        let followed = self.0.followed.get();
        followed.map_or("none yet", |it| StoreCondition(Arc::clone(&it.follower)).state())
    }

    fn is_serviceable(&self) -> bool {
        true
    }
}

/// What `/readyz` says of Redis, without which calls are served as `redis.on_error` says.
pub(super) struct RedisCondition(pub(super) Arc<RedisLimits>);

impl Condition for RedisCondition {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn state(&self) -> &'static str {
        match self.0.status() {
            RedisStatus::Reachable => "reachable",
            RedisStatus::Unreachable { .. } => "unreachable",
        }
    }

    fn is_serviceable(&self) -> bool {
        true
    }
}
