//! Many nodes, one limit.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use gateway_ratelimit::{DenialCause, LimitStore, RateLimit, Used};
use gateway_testing::RedisServer;
use tokio::task::JoinSet;

use crate::fixture::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_on_two_nodes_get_exactly_what_one_limit_allows() {
    let Some(server) = RedisServer::start() else { return };
    let nodes = [Arc::new(connected(patient(&server)).await), Arc::new(connected(patient(&server)).await)];
    let limits = requests_a_day(100);
    let mut calls = JoinSet::new();
    for number in 0..1_000 {
        let (node, limits) = (Arc::clone(&nodes[number % 2]), Arc::clone(&limits));
        calls.spawn(async move { call(&node, &account("shared"), &limits).await.map(|it| it.origin()) });
    }
    let answers = calls.join_all().await;
    let admitted: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(admitted.len(), 100);
    assert!(admitted.iter().all(|origin| **origin == BY_REDIS));
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(refused.into_iter().all(|denial| matches!(denial.cause, DenialCause::Requests { limit: 100, .. })));
}

#[tokio::test]
async fn accounts_are_counted_apart() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let limits = requests_a_day(1);
    for name in ["a", "b", "", "{a}", "a}b", "ü \r\n"] {
        assert_eq!(admitted(&node, &account(name), &limits, 2).await, 1, "{name:?}");
    }
}

#[tokio::test]
async fn calls_at_once_are_counted_over_all_nodes() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("busy"), at_once(3));
    let first = call(&one, &key, &limits).await.unwrap();
    let second = call(&one, &key, &limits).await.unwrap();
    let _third = call(&other, &key, &limits).await.unwrap();
    for node in [&one, &other] {
        let denial = call(node, &key, &limits).await.unwrap_err();
        assert_eq!(denial.cause, DenialCause::Concurrency { limit: 3 });
    }
    one.settle(first, Used::default(), now());
    // The node that a call has ended on knows it at once, the other as soon as it has been told.
    let _fourth = call(&one, &key, &limits).await.unwrap();
    assert!(call(&other, &key, &limits).await.is_err());
    one.settle(second, Used::default(), now());
    until("the other node hears that a call has ended", async || call(&other, &key, &limits).await.is_ok()).await;
}

#[tokio::test]
async fn calls_of_a_node_that_has_vanished_stop_counting() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(mortal(&server)).await, connected(mortal(&server)).await);
    let (key, limits) = (account("busy"), at_once(1));
    until_nodes(&other, 2).await;
    let lost = call(&one, &key, &limits).await.unwrap();
    assert!(call(&other, &key, &limits).await.is_err());
    // Nothing is said any more, as after a crash.
    drop(one);
    until("the node is taken for dead", async || call(&other, &key, &limits).await.is_ok()).await;
    until_nodes(&other, 1).await;
    drop(lost);
}

#[tokio::test]
async fn calls_of_a_node_that_lives_go_on_counting() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(mortal(&server)).await, connected(mortal(&server)).await);
    let (key, limits) = (account("busy"), at_once(1));
    let _long = call(&one, &key, &limits).await.unwrap();
    // A third node comes and goes; by the time that it is forgotten, a silent one would be, too.
    let guest = connected(mortal(&server)).await;
    until_nodes(&other, 3).await;
    drop(guest);
    until_nodes(&other, 2).await;
    assert!(call(&other, &key, &limits).await.is_err());
}

#[tokio::test]
async fn tokens_that_were_not_needed_come_back() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("reader"), tokens_a_minute(1_000));
    let whole = reserve(&one, &key, &limits, tokens(1_000)).await.unwrap();
    let denial = reserve(&other, &key, &limits, tokens(900)).await.unwrap_err();
    assert_eq!(denial.cause, DenialCause::Tokens { needed: 900, limit: 1_000 });
    one.settle(whole, Used { tokens: 100, ..Used::default() }, now());
    // What it used is more than comes back in this test's time, or there would be no telling.
    assert!(reserve(&one, &key, &limits, tokens(1_000)).await.is_err());
    until("the other node has the rest", async || reserve(&other, &key, &limits, tokens(900)).await.is_ok()).await;
}

#[tokio::test]
async fn a_node_that_closes_has_told_everything() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let limits = tokens_a_minute(1_000);
    let names: Vec<_> = (0..200).map(|number| account(&format!("account {number}"))).collect();
    for key in &names {
        let call = reserve(&one, key, &limits, tokens(1_000)).await.unwrap();
        one.settle(call, Used::default(), now());
    }
    one.close().await;
    for key in &names {
        assert!(reserve(&other, key, &limits, tokens(1_000)).await.is_ok(), "{key}");
    }
    until_nodes(&other, 1).await;
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_takes_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let rate_limit = RateLimit { max_concurrent: Some(1), tokens_per_minute: Some(100), ..RateLimit::default() };
    let (key, limits) = (account("busy"), limits(&rate_limit));
    for _ in 0..20 {
        // Polled once, the question is on its way; rarely is the answer as fast.
        let mut question = one.reserve(&key, &limits, tokens(100), now());
        let asked = poll_fn(|context| Poll::Ready(Pin::new(&mut question).poll(context))).await;
        if let Poll::Ready(Ok(call)) = asked {
            one.settle(call, Used::default(), now());
        }
        tokio::task::yield_now().await;
        drop(question);
    }
    // By themselves a third of the tokens would be back before this gives up.
    until("nothing is taken", async || !is_refused(&other, &key, &limits, tokens(99)).await).await;
}

#[tokio::test]
async fn what_is_not_used_vanishes_from_redis() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let mut direct = direct(&server).await;
    // Full again after a tenth of a second.
    let limits = limits(&RateLimit { requests_per_second: Some(10), burst_size: Some(1), ..RateLimit::default() });
    assert!(call(&node, &account("gone"), &limits).await.is_ok());
    node.close().await;
    let mut keys = async || {
        let found: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut direct).await.unwrap();
        found
    };
    assert!(keys().await.contains(&"llmgw:limits:1:{gone}".to_owned()));
    until("all keys are gone", async || keys().await.is_empty()).await;
}
