//! Redis decides as the local store does.

use std::time::Instant;

use gateway_ratelimit_redis::{Clock, OnError, RedisLimits, RedisSettings};
use gateway_secret::Secret;
use gateway_testing::{RedisServer, limit_vectors};

#[tokio::test]
async fn redis_decides_as_the_local_store_does() {
    let Some(server) = RedisServer::start() else { return };
    // With `deny`, no answer can be the node's own.
    let settings = RedisSettings {
        clock: Clock::Caller,
        on_error: OnError::Deny,
        ..RedisSettings::new(Secret::from(server.url()))
    };
    let limits = RedisLimits::connect(settings).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "any moment will do: Redis goes by the calendar")]
    let base = Instant::now();
    limit_vectors::run(&limits, |at_us| limit_vectors::moment(base, at_us)).await;
    limits.close().await;
}
