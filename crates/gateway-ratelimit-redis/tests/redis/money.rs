//! Budgets: what all nodes spend counts, and a Redis that has forgotten is told.

use gateway_ratelimit::{BudgetPeriod, DenialCause, LimitStore, Moment, Spend, SpendBook, Used};
use gateway_testing::RedisServer;
use jiff::Timestamp;

use crate::fixture::*;

#[tokio::test]
async fn what_one_node_spends_or_keeps_back_the_other_cannot_spend() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("spender"), dollars(10, BudgetPeriod::Total));
    let kept_back = reserve(&one, &key, &limits, costs(8)).await.unwrap();
    let denial = reserve(&other, &key, &limits, costs(3)).await.unwrap_err();
    assert_eq!((denial.cause, denial.retry_after), (DenialCause::Budget, None));
    one.settle(kept_back, used(6), now());
    until("the other node has the rest", async || reserve(&other, &key, &limits, costs(4)).await.is_ok()).await;
    assert!(reserve(&one, &key, &limits, costs(0)).await.is_err());
}

#[tokio::test]
async fn a_node_that_vanishes_keeps_nothing_back() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(mortal(&server)).await, connected(mortal(&server)).await);
    let (key, limits) = (account("spender"), dollars(10, BudgetPeriod::Total));
    let spent = reserve(&one, &key, &limits, costs(4)).await.unwrap();
    one.settle(spent, used(4), now());
    let _lost = reserve(&one, &key, &limits, costs(6)).await.unwrap();
    drop(one);
    until("the node is taken for dead", async || reserve(&other, &key, &limits, costs(6)).await.is_ok()).await;
    assert!(reserve(&other, &key, &limits, costs(1)).await.is_err());
}

#[tokio::test]
async fn what_is_recorded_counts_where_redis_knows_nothing() {
    let Some(mut server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let (key, limits) = (account("spender"), dollars(10, BudgetPeriod::Total));
    let window = BudgetPeriod::Total.window(Timestamp::now());
    let spent = |amount| Spend { account: key.clone(), window, amount: usd(amount) };
    node.note_totals(&[spent(7)]);
    assert!(reserve(&node, &key, &limits, costs(4)).await.is_err());
    let call = reserve(&node, &key, &limits, costs(2)).await.unwrap();
    node.settle(call, used(2), now());
    // The book has it recorded, once, wherever the call was let through.
    assert_eq!(node.take_unrecorded(), [spent(2)]);
    assert_eq!(node.take_unrecorded(), []);
    node.note_totals(&[spent(9)]);
    server.start_again();
    until_redis_decides(&node).await;
    assert!(reserve(&node, &key, &limits, costs(2)).await.is_err());
    assert!(reserve(&node, &key, &limits, costs(1)).await.is_ok());
}

#[tokio::test]
async fn what_was_spent_without_redis_is_counted_once() {
    let Some(mut server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("spender"), dollars(20, BudgetPeriod::Total));
    server.stop();
    let call = reserve(&one, &key, &limits, costs(5)).await.unwrap();
    one.settle(call, used(5), now());
    // It is recorded, and all nodes are told, before Redis is.
    let recorded = one.take_unrecorded();
    one.note_totals(&recorded);
    other.note_totals(&recorded);
    server.start_again();
    until_redis_decides(&other).await;
    let kept_back = reserve(&other, &key, &limits, costs(15)).await.unwrap();
    until_redis_decides(&one).await;
    assert!(reserve(&one, &key, &limits, costs(1)).await.is_err());
    other.settle(kept_back, used(0), now());
    until("the other's call has ended", async || !is_refused(&one, &key, &limits, costs(15)).await).await;
    assert!(reserve(&one, &key, &limits, costs(16)).await.is_err());
}

#[tokio::test]
async fn nodes_tell_a_redis_that_has_forgotten_what_they_have_spent() {
    let Some(mut server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("spender"), dollars(20, BudgetPeriod::Month));
    for node in [&one, &other] {
        let call = reserve(node, &key, &limits, costs(6)).await.unwrap();
        node.settle(call, used(6), now());
    }
    // Both have been heard.
    until("all is known", async || is_refused(&one, &key, &limits, costs(9)).await).await;
    server.start_again();
    until_redis_decides(&one).await;
    until_redis_decides(&other).await;
    // Nobody asks the other about this account: it tells by itself.
    until("all is known again", async || is_refused(&one, &key, &limits, costs(9)).await).await;
    assert!(reserve(&one, &key, &limits, costs(8)).await.is_ok());
}

#[tokio::test]
async fn a_new_window_begins_with_nothing_spent() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let (key, limits) = (account("spender"), dollars(10, BudgetPeriod::Day));
    let today = now();
    let end = BudgetPeriod::Day.window(today.wall).end().unwrap();
    let late = node.reserve(&key, &limits, costs(10), today).await.unwrap();
    let denial = node.reserve(&key, &limits, costs(1), today).await.unwrap_err();
    assert_eq!(denial.retry_after, Some(today.wall.duration_until(end).try_into().unwrap()));
    let tomorrow = Moment { wall: end, ..today };
    let _early = node.reserve(&key, &limits, costs(9), tomorrow).await.unwrap();
    // It began yesterday, and is paid with yesterday's money.
    node.settle(late, used(10), tomorrow);
    assert!(node.reserve(&key, &limits, costs(1), tomorrow).await.is_ok());
    assert!(node.reserve(&key, &limits, costs(0), tomorrow).await.is_err());
    assert_eq!(node.take_unrecorded()[0].window, BudgetPeriod::Day.window(today.wall));
}

#[tokio::test]
async fn what_a_node_keeps_back_of_yesterdays_money_is_not_todays() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (connected(patient(&server)).await, connected(patient(&server)).await);
    let (key, limits) = (account("spender"), dollars(10, BudgetPeriod::Day));
    let today = now();
    let tomorrow = Moment { wall: BudgetPeriod::Day.window(today.wall).end().unwrap(), ..today };
    let _kept_back = one.reserve(&key, &limits, costs(10), today).await.unwrap();
    assert!(other.reserve(&key, &limits, costs(10), today).await.is_err());
    let _new = other.reserve(&key, &limits, costs(10), tomorrow).await.unwrap();
    assert!(other.reserve(&key, &limits, costs(1), tomorrow).await.is_err());
}

#[tokio::test]
async fn a_call_that_costs_more_than_was_kept_back_is_paid_in_full() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let (key, limits) = (account("spender"), dollars(10, BudgetPeriod::Month));
    let call = reserve(&node, &key, &limits, costs(1)).await.unwrap();
    node.settle(call, Used { tokens: 5, ..used(12) }, now());
    assert_eq!(reserve(&node, &key, &limits, costs(0)).await.unwrap_err().cause, DenialCause::Budget);
}
