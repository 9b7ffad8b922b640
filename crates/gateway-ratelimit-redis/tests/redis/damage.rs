//! What others have written where limits are kept.

use gateway_ratelimit::{LimitStore, Used};
use gateway_ratelimit_redis::RedisStatus;
use gateway_testing::RedisServer;

use crate::fixture::*;

const KEY: &str = "llmgw:limits:1:{a}";

#[tokio::test]
async fn a_damaged_account_is_counted_anew_and_nobody_else_is_concerned() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let mut direct = direct(&server).await;
    let (key, other, limits) = (account("a"), account("b"), requests_a_day(2));
    assert_eq!(admitted(&node, &other, &limits, 9).await, 2);
    let bucket = "r:2:86400000000:2";
    // As MessagePack: a number that is none, a map with too little, one with a text for a number.
    let (not_a_number, empty, text) = (b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\x80", b"\x81\xa7arrival\xa1x");
    for damage in [
        vec![&b"SET"[..], b"text"],
        vec![b"RPUSH", b"a", b"list"],
        vec![b"HSET", b"clock", b"no message"],
        vec![b"HSET", b"clock", not_a_number],
        vec![b"HSET", bucket.as_bytes(), b"\x05"],
        vec![b"HSET", bucket.as_bytes(), empty],
        vec![b"HSET", bucket.as_bytes(), text],
        vec![b"HSET", b"n:node", empty],
        vec![b"HSET", b"$:day", b""],
        vec![b"HSET", b"stranger", b"\x01"],
    ] {
        let (name, rest) = damage.split_first().unwrap();
        if *name != b"HSET" {
            let () = redis::cmd("DEL").arg(KEY).query_async(&mut direct).await.unwrap();
        }
        let mut command = redis::cmd(std::str::from_utf8(name).unwrap());
        let () = command.arg(KEY).arg(rest).query_async(&mut direct).await.unwrap();
        assert_eq!(call(&node, &key, &limits).await.unwrap().origin(), BY_REDIS, "{damage:?}");
        assert_eq!(admitted(&node, &key, &limits, 9).await, 1, "{damage:?}");
        assert!(call(&node, &other, &limits).await.is_err(), "{damage:?}");
        assert_eq!(node.status(), RedisStatus::Reachable);
    }
}

#[tokio::test]
async fn a_call_whose_account_was_damaged_meanwhile_ends_as_others_do() {
    let Some(server) = RedisServer::start() else { return };
    let node = connected(patient(&server)).await;
    let mut direct = direct(&server).await;
    let (key, limits) = (account("a"), at_once(1));
    let held = call(&node, &key, &limits).await.unwrap();
    let () = redis::cmd("SET").arg(KEY).arg("text").query_async(&mut direct).await.unwrap();
    // The node itself says that it has a call under way.
    assert!(call(&node, &key, &limits).await.is_err());
    node.settle(held, Used::default(), now());
    until("the place is free", async || call(&node, &key, &limits).await.is_ok()).await;
    assert_eq!(node.status(), RedisStatus::Reachable);
}
