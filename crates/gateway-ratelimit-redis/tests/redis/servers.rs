//! Servers as they are found: with passwords, behind TLS, and forgetting scripts.

use std::time::Duration;

use gateway_ratelimit::{Demand, LimitStore, Moment, RateLimit};
use gateway_ratelimit_redis::{Clock, RedisSettings, RedisStatus};
use gateway_secret::Secret;
use gateway_testing::RedisServer;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::fixture::*;

#[tokio::test]
async fn a_password_is_used() {
    let Some(server) = RedisServer::start_with(&["--requirepass", "p@ss"]) else { return };
    let url = |password: &str| server.url().replace("//", &format!("//:{password}@"));
    let node = connected(RedisSettings { url: Secret::from(url("p%40ss")), ..patient(&server) }).await;
    assert_eq!(call(&node, &account("a"), &at_once(1)).await.unwrap().origin(), BY_REDIS);
    let stranger = connect(RedisSettings { url: Secret::from(url("wrong")), ..patient(&server) }).await;
    assert_ne!(stranger.status(), RedisStatus::Reachable);
    for debugged in [format!("{node:?}"), format!("{stranger:?}")] {
        assert!(
            !debugged.contains("p@ss") && !debugged.contains("p%40ss") && !debugged.contains("wrong"),
            "{debugged}"
        );
    }
}

#[tokio::test]
async fn tls_is_spoken_and_certificates_are_checked() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let Some(server) = RedisServer::start_with_tls(&cert.pem(), &signing_key.serialize_pem()) else { return };
    let trusting = RedisSettings { root_certificates: Some(cert.pem().into_bytes()), ..patient(&server) };
    let node = connected(trusting).await;
    assert_eq!(call(&node, &account("a"), &at_once(1)).await.unwrap().origin(), BY_REDIS);
    let stranger = connect(patient(&server)).await;
    assert_ne!(stranger.status(), RedisStatus::Reachable);
}

#[tokio::test]
async fn a_script_that_was_forgotten_is_loaded_again() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let mut direct = direct(&server).await;
    let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut direct).await.unwrap();
    let call = reserve(&node, &account("a"), &tokens_a_minute(10), tokens(1)).await.unwrap();
    assert_eq!(call.origin(), BY_REDIS);
    assert_eq!(node.status(), RedisStatus::Reachable);
}

#[tokio::test]
async fn a_clock_that_is_set_back_neither_fills_nor_empties_a_bucket() {
    // With the callers' clock, which the script cannot tell from the server's own.
    let Some(server) = RedisServer::start() else { return };
    let node = connected(RedisSettings { clock: Clock::Caller, ..patient(&server) }).await;
    let (key, limits) = (account("a"), limits(&RateLimit { requests_per_minute: Some(2), ..RateLimit::default() }));
    let late = now();
    let early = Moment { wall: late.wall - Duration::from_hours(1), ..late };
    assert!(node.reserve(&key, &limits, Demand::default(), late).await.is_ok());
    assert!(node.reserve(&key, &limits, Demand::default(), early).await.is_ok());
    let denial = node.reserve(&key, &limits, Demand::default(), early).await.unwrap_err();
    assert_eq!(denial.retry_after, Some(Duration::from_secs(30)));
}
