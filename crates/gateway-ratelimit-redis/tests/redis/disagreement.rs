//! Nodes that do not agree about an account's limits, as long as a change of them is on its way.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_ratelimit::{LimitStore, Limits, RateLimit, Used};
use gateway_ratelimit_redis::{RedisLimits, RedisSettings};
use gateway_testing::RedisServer;

use crate::fixture::*;

fn in_period(limit: u64, period_seconds: u32) -> Arc<Limits> {
    limits(&RateLimit { limit: Some(limit), period_seconds: Some(period_seconds), ..RateLimit::default() })
}

/// How many calls are let through if both nodes ask in turns, each ten times in a row.
async fn let_through(nodes: &[RedisLimits; 2], limits: &[Arc<Limits>; 2], key: &str) -> usize {
    let mut admitted_by_all = 0;
    for round in 0..20 {
        let node = round % 2;
        admitted_by_all += admitted(&nodes[node], &account(key), &limits[node], 10).await;
    }
    admitted_by_all
}

#[tokio::test]
async fn together_they_let_through_what_the_more_generous_one_would() {
    let Some(server) = RedisServer::start() else { return };
    let nodes = [connected(patient(&server)).await, connected(patient(&server)).await];
    for (number, limits) in [
        [in_period(30, DAY), in_period(20, DAY)],
        [in_period(20, DAY), in_period(30, DAY)],
        [in_period(20, DAY / 2), in_period(30, DAY)],
        [in_period(30, DAY), in_period(20, DAY / 2)],
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(let_through(&nodes, &limits, &number.to_string()).await, 30, "{limits:?}");
    }
}

/// Everything that Redis knows.
async fn contents(server: &RedisServer) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut direct = direct(server).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*limits*").query_async(&mut direct).await.unwrap();
    let mut contents = BTreeMap::new();
    for key in keys {
        let fields = redis::cmd("HGETALL").arg(&key).query_async(&mut direct).await.unwrap();
        contents.insert(key, fields);
    }
    contents
}

#[tokio::test]
async fn a_refused_call_changes_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let key = account("a");
    assert_eq!(admitted(&node, &key, &in_period(30, DAY), 40).await, 30);
    let before = contents(&server).await;
    assert_eq!(before.len(), 1);
    for limits in [in_period(30, DAY), in_period(20, DAY), in_period(3, 3_600), in_period(40, DAY / 2)] {
        let denial = call(&node, &key, &limits).await;
        assert!(denial.is_err() || limits == in_period(40, DAY / 2), "{denial:?}");
        if denial.is_err() {
            assert_eq!(contents(&server).await, before, "{limits:?}");
        }
    }
}

#[tokio::test]
async fn what_was_not_used_comes_back_at_every_rate() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, more, less) = (account("a"), tokens_a_minute(1_000), tokens_a_minute(500));
    let whole = reserve(&one, &key, &more, tokens(500)).await.unwrap();
    assert!(reserve(&other, &key, &less, tokens(400)).await.is_err());
    let nothing = reserve(&other, &key, &less, tokens(0)).await.unwrap();
    other.settle(nothing, Used::default(), now());
    one.settle(whole, Used { tokens: 50, ..Used::default() }, now());
    until("the other node has the rest", async || reserve(&other, &key, &less, tokens(400)).await.is_ok()).await;
}

#[tokio::test]
async fn a_few_rates_are_remembered() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    for limit in 100..130 {
        assert!(call(&node, &account("a"), &in_period(limit, DAY)).await.is_ok());
    }
    let contents = contents(&server).await;
    let rates = contents.values().flat_map(BTreeMap::keys).filter(|field| field.starts_with("r:")).count();
    assert_eq!(rates, 8);
    // All thirty are still spent.
    assert_eq!(admitted(&node, &account("a"), &in_period(40, DAY), 20).await, 10);
}

#[tokio::test]
async fn groups_of_nodes_with_other_prefixes_know_nothing_of_each_other() {
    let Some(server) = RedisServer::start() else { return };
    let one = connected(patient(&server)).await;
    let other = connected(RedisSettings { prefix: "other:".to_owned(), ..patient(&server) }).await;
    for node in [&one, &other] {
        assert_eq!(admitted(node, &account("a"), &requests_a_day(3), 5).await, 3);
        assert_eq!(node.nodes(), 1);
    }
    let names: Vec<_> = contents(&server).await.into_keys().collect();
    assert_eq!(names, ["llmgw:limits:1:{a}", "other:limits:1:{a}"]);
}
