//! Redis is slow, dead, empty, or does not want to write.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use gateway_extension::Answer;
use gateway_ratelimit::{BudgetPeriod, Demand, DenialCause, LimitStore, RateLimit, Used};
use gateway_ratelimit_redis::{OnError, RedisSettings, RedisStatus};
use gateway_secret::Secret;
use gateway_testing::RedisServer;

use crate::fixture::*;

#[tokio::test]
async fn a_silent_redis_is_waited_for_once() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(hasty(&server)).await;
    let (key, limits) = (account("a"), requests_a_day(2));
    server.pause();
    // Redis will not say a word until it is resumed, so this answer is the node's own.
    assert_ne!(call(&node, &key, &limits).await.unwrap().origin(), BY_REDIS);
    assert!(matches!(node.status(), RedisStatus::Unreachable { .. }));
    let at_once = node.reserve(&key, &limits, Demand::default(), now());
    assert!(matches!(at_once, Answer::Now(Some(Ok(_)))), "{at_once:?}");
    assert!(matches!(node.reserve(&key, &limits, Demand::default(), now()), Answer::Now(Some(Err(_)))));
    server.resume();
    until_redis_decides(&node).await;
}

#[tokio::test]
async fn what_was_asked_of_a_silent_redis_does_not_happen_later() {
    let Some(server) = RedisServer::start() else { return };
    let (node, witness) = (connected(hasty(&server)).await, connected(patient(&server)).await);
    let (rate, at_once) = (requests_a_day(5), at_once(1));
    server.pause();
    // The question lies in the connection's buffer; when it was given up long ago, Redis reads it.
    let asked = call(&node, &account("rate"), &rate).await.unwrap();
    assert_ne!(asked.origin(), BY_REDIS);
    let own = call(&node, &account("at once"), &at_once).await.unwrap();
    tokio::time::sleep(3 * hasty(&server).timeout).await;
    server.resume();
    until_reachable(&node).await;
    assert_eq!(admitted(&witness, &account("rate"), &rate, 6).await, 5);
    // The call that the node let through by itself is counted, once.
    until("the call is counted", async || is_refused(&witness, &account("at once"), &at_once, tokens(0)).await).await;
    node.settle(own, Used::default(), now());
    until("the call has ended", async || call(&witness, &account("at once"), &at_once).await.is_ok()).await;
}

#[tokio::test]
async fn nodes_without_redis_let_through_their_shares_and_no_more() {
    let Some(mut server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("a"), requests_a_day(100));
    for node in [&one, &other] {
        until_nodes(node, 2).await;
    }
    assert_eq!(admitted(&one, &key, &limits, 60).await + admitted(&other, &key, &limits, 60).await, 100);
    server.stop();
    // All of them are answered, some while it is found out that nobody is there.
    assert_eq!(admitted(&one, &key, &limits, 200).await, 50);
    assert_eq!(admitted(&other, &key, &limits, 200).await, 50);
    server.start_again();
    for node in [&one, &other] {
        until_reachable(node).await;
    }
    // It has forgotten everything, so the whole limit is there, once.
    assert_eq!(admitted(&one, &key, &limits, 60).await + admitted(&other, &key, &limits, 60).await, 100);
}

#[tokio::test]
async fn every_call_is_answered_while_redis_comes_and_goes() {
    let Some(mut server) = RedisServer::start() else { return };
    let node = connected(hasty(&server)).await;
    let (key, limits) = (account("a"), requests_a_day(1_000_000));
    for _ in 0..3 {
        until_redis_decides(&node).await;
        let calls = async {
            let mut own = 0;
            while own < 100 {
                own += usize::from(call(&node, &key, &limits).await.unwrap().origin() != BY_REDIS);
                tokio::task::yield_now().await;
            }
        };
        let killed = async { server.stop() };
        tokio::join!(calls, killed);
        until_unreachable(&node).await;
        server.start_again();
    }
}

#[tokio::test]
async fn calls_in_flight_survive_a_redis_that_forgets() {
    let Some(mut server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("busy"), at_once(2));
    let first = call(&one, &key, &limits).await.unwrap();
    let _second = call(&one, &key, &limits).await.unwrap();
    server.start_again();
    until_redis_decides(&one).await;
    until_redis_decides(&other).await;
    until("the calls are counted again", async || is_refused(&other, &key, &limits, tokens(0)).await).await;
    one.settle(first, Used::default(), now());
    until("a call has ended", async || call(&other, &key, &limits).await.is_ok()).await;
}

#[tokio::test]
async fn without_redis_the_nodes_own_calls_of_before_still_count() {
    let Some(mut server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let rate_limit = RateLimit { max_concurrent: Some(4), requests_per_minute: Some(60), ..RateLimit::default() };
    let (key, limits) = (account("busy"), limits(&rate_limit));
    until_nodes(&one, 2).await;
    let first = call(&one, &key, &limits).await.unwrap();
    let second = call(&one, &key, &limits).await.unwrap();
    server.stop();
    until_unreachable(&one).await;
    // Its share is two of four, and two there are.
    let denial = call(&one, &key, &limits).await.unwrap_err();
    assert_eq!(denial.cause, DenialCause::Concurrency { limit: 4 });
    assert_eq!(denial.levels.requests.map(|level| level.remaining), Some(30), "the levels are told");
    one.settle(first, Used::default(), now());
    let third = call(&one, &key, &limits).await.unwrap();
    assert!(call(&one, &key, &limits).await.is_err());
    one.settle(second, Used::default(), now());
    one.settle(third, Used::default(), now());
    drop(other);
}

#[tokio::test]
async fn without_redis_a_node_spends_its_share_of_what_was_left() {
    let Some(mut server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("spender"), dollars(100, BudgetPeriod::Total));
    until_nodes(&one, 2).await;
    let call = reserve(&other, &key, &limits, costs(40)).await.unwrap();
    other.settle(call, used(40), now());
    until("the other's spending is known", async || {
        // What is left of the budget is 60, of which 1 is asked for and given back.
        let all = reserve(&one, &key, &limits, costs(61)).await;
        let one_dollar = reserve(&one, &key, &limits, costs(1)).await.unwrap();
        one.settle(one_dollar, Used::default(), now());
        all.is_err()
    })
    .await;
    server.stop();
    until_unreachable(&one).await;
    let mut spent = 0;
    while let Ok(call) = reserve(&one, &key, &limits, costs(1)).await {
        one.settle(call, used(1), now());
        spent += 1;
    }
    assert!((29..=30).contains(&spent), "{spent}");
    // Back again, Redis is told what was spent without it.
    server.start_again();
    until_redis_decides(&one).await;
    assert!(reserve(&one, &key, &limits, costs(101 - spent)).await.is_err());
}

#[tokio::test]
async fn denied_if_the_administrator_wants_it() {
    let Some(mut server) = RedisServer::start() else { return };
    let node = connected(RedisSettings { on_error: OnError::Deny, ..hasty(&server) }).await;
    let (key, limits) = (account("a"), requests_a_day(1_000_000));
    server.stop();
    for _ in 0..2 {
        let denial = call(&node, &key, &limits).await.unwrap_err();
        assert_eq!((denial.cause, denial.retry_after), (DenialCause::Unavailable, None));
    }
    server.start_again();
    until("Redis decides again", async || call(&node, &key, &limits).await.is_ok()).await;
}

#[tokio::test]
async fn a_gateway_starts_without_redis() {
    let Some(mut server) = RedisServer::start() else { return };
    server.stop();
    let node = connect(patient(&server)).await;
    let (key, limits) = (account("a"), requests_a_day(1));
    assert!(matches!(node.status(), RedisStatus::Unreachable { .. }));
    assert_eq!(admitted(&node, &key, &limits, 2).await, 1);
    server.start_again();
    until_reachable(&node).await;
    assert_eq!(call(&node, &key, &limits).await.unwrap().origin(), BY_REDIS);
}

#[tokio::test]
async fn a_server_that_is_no_longer_the_master_is_down() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let mut direct = direct(&server).await;
    let (key, limits) = (account("a"), requests_a_day(1_000_000));
    assert_eq!(call(&node, &key, &limits).await.unwrap().origin(), BY_REDIS);
    let () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).query_async(&mut direct).await.unwrap();
    assert_ne!(call(&node, &key, &limits).await.unwrap().origin(), BY_REDIS);
    let () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut direct).await.unwrap();
    until_redis_decides(&node).await;
}

#[tokio::test]
async fn an_address_where_nobody_is_costs_nothing_at_close() {
    let settings = RedisSettings::new(Secret::from("redis://127.0.0.1:1"));
    let node = connect(settings).await;
    let call = call(&node, &account("a"), &tokens_a_minute(1)).await.unwrap();
    node.settle(call, Used::default(), now());
    node.close().await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a runtime that is held up is what this is about")]
async fn a_gateway_that_is_late_itself_does_not_take_redis_for_dead() {
    let Some(server) = RedisServer::start() else { return };
    let (node, witness) = (connected(hasty(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("a"), requests_a_day(3));
    for _ in 0..3 {
        let mut asked = pin!(call(&node, &key, &limits));
        let begun = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
        // Nothing else has its turn here for as long: neither this call nor what tells it that its time is over.
        std::thread::sleep(4 * hasty(&server).timeout);
        let decided = match begun {
            Poll::Ready(decided) => decided,
            Poll::Pending => asked.await,
        };
        assert_eq!(decided.unwrap().origin(), BY_REDIS);
        assert_eq!(node.status(), RedisStatus::Reachable);
    }
    assert!(call(&witness, &key, &limits).await.is_err(), "each was counted there");
}
