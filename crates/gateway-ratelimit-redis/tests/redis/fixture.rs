//! Nodes, limits and moments.

use std::sync::Arc;
use std::time::Duration;

use gateway_ratelimit::{
    Budget, BudgetPeriod, Demand, Denial, LimitStore, Limits, Moment, NanoUsd, Origin, RateLimit, Reservation, Used,
};
use gateway_ratelimit_redis::{RedisLimits, RedisSettings, RedisStatus};
use gateway_secret::Secret;
use gateway_testing::RedisServer;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Calls are let through by Redis with this origin.
pub(crate) const BY_REDIS: Origin = Origin::Shared;

/// So rarely does a request come back in these tests that none does.
pub(crate) const DAY: u32 = 24 * 3600;

/// Settings under which only Redis decides, however busy the machine is.
pub(crate) fn patient(server: &RedisServer) -> RedisSettings {
    RedisSettings { timeout: PATIENCE, ..RedisSettings::new(Secret::from(server.url())) }
}

/// The same, with nodes that are taken for dead after two seconds, for tests that wait for it.
pub(crate) fn mortal(server: &RedisServer) -> RedisSettings {
    RedisSettings { heartbeat: Duration::from_millis(400), ..patient(server) }
}

/// The usual settings, with which a silent Redis is given up soon.
pub(crate) fn hasty(server: &RedisServer) -> RedisSettings {
    RedisSettings { timeout: Duration::from_millis(50), ..patient(server) }
}

pub(crate) async fn connect(settings: RedisSettings) -> RedisLimits {
    RedisLimits::connect(settings).await.unwrap()
}

/// A node that has found its Redis, which on a busy machine may take more than one attempt.
pub(crate) async fn connected(settings: RedisSettings) -> RedisLimits {
    let node = connect(settings).await;
    until_reachable(&node).await;
    node
}

pub(crate) fn account(name: &str) -> Arc<str> {
    name.into()
}

pub(crate) fn limits(rate_limit: &RateLimit) -> Arc<Limits> {
    Arc::new(rate_limit.limits(None).unwrap())
}

pub(crate) fn requests_a_day(limit: u64) -> Arc<Limits> {
    limits(&RateLimit { limit: Some(limit), period_seconds: Some(DAY), ..RateLimit::default() })
}

pub(crate) fn at_once(limit: u32) -> Arc<Limits> {
    limits(&RateLimit { max_concurrent: Some(limit), ..RateLimit::default() })
}

pub(crate) fn tokens_a_minute(limit: u64) -> Arc<Limits> {
    limits(&RateLimit { tokens_per_minute: Some(limit), ..RateLimit::default() })
}

pub(crate) fn dollars(limit: u64, period: BudgetPeriod) -> Arc<Limits> {
    Arc::new(RateLimit::default().limits(Some(Budget { limit: usd(limit), period })).unwrap())
}

pub(crate) fn usd(dollars: u64) -> NanoUsd {
    NanoUsd(dollars * 1_000_000_000)
}

pub(crate) fn tokens(tokens: u64) -> Demand {
    Demand { tokens, ..Demand::default() }
}

pub(crate) fn costs(dollars: u64) -> Demand {
    Demand { cost: usd(dollars), ..Demand::default() }
}

pub(crate) fn used(dollars: u64) -> Used {
    Used { cost: usd(dollars), ..Used::default() }
}

pub(crate) fn now() -> Moment {
    Moment { now: Instant::now().into_std(), wall: Timestamp::now() }
}

/// Asks for a call; panics if no answer comes at all.
pub(crate) async fn reserve(
    store: &RedisLimits,
    key: &Arc<str>,
    limits: &Arc<Limits>,
    demand: Demand,
) -> Result<Reservation, Denial> {
    timeout(2 * PATIENCE, store.reserve(key, limits, demand, now())).await.unwrap()
}

/// The same for a call that needs nothing but to be made.
pub(crate) async fn call(store: &RedisLimits, key: &Arc<str>, limits: &Arc<Limits>) -> Result<Reservation, Denial> {
    reserve(store, key, limits, Demand::default()).await
}

/// Whether there is not that much; if there is, it is given back.
pub(crate) async fn is_refused(store: &RedisLimits, key: &Arc<str>, limits: &Arc<Limits>, demand: Demand) -> bool {
    reserve(store, key, limits, demand).await.map(|call| store.settle(call, Used::default(), now())).is_err()
}

/// Asks for so many calls, one after the other, and counts those that are let through.
pub(crate) async fn admitted(store: &RedisLimits, key: &Arc<str>, limits: &Arc<Limits>, calls: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        admitted += usize::from(call(store, key, limits).await.is_ok());
    }
    admitted
}

/// Waits for something that happens by itself. Panics if it does not.
pub(crate) async fn until(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !happens().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

pub(crate) async fn until_reachable(store: &RedisLimits) {
    until("Redis is reached", async || store.status() == RedisStatus::Reachable).await;
}

pub(crate) async fn until_unreachable(store: &RedisLimits) {
    until("Redis is missed", async || store.status() != RedisStatus::Reachable).await;
}

/// Waits until a node that may not have noticed yet that Redis was gone has noticed that it is back.
pub(crate) async fn until_redis_decides(store: &RedisLimits) {
    let (key, limits) = (account("probe"), requests_a_day(1_000_000));
    until("Redis decides", async || call(store, &key, &limits).await.is_ok_and(|call| call.origin() == BY_REDIS)).await;
}

pub(crate) async fn until_nodes(store: &RedisLimits, nodes: u32) {
    until("the nodes know of each other", async || store.nodes() == nodes).await;
}

/// A connection of the test's own.
pub(crate) async fn direct(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
