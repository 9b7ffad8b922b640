//! Callers who leave before they have an answer: nothing of what their calls had taken is kept.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_testing::{Client, client};
use gateway_tests::clock::now;
use gateway_tests::patience::until;
use gateway_tests::stage::CHAT;
use gateway_tests::wire::Wire;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::play::Play;
use super::scene::{Scene, asking, calling, key, number};
use super::upstream::{FAILING, STALLED};

const PLACES: usize = 8;

const DOLLARS: u64 = 1_000;

/// Ten come back in a second, and each caller who leaves has asked for more than come back in a test.
const TOKENS: u64 = 600;

const KEYS: [(&str, &str); 2] = [
    ("purse", "rate_limit: { max_concurrent: 8 }, budget: { usd: 1000, period: total }"),
    ("tokens", "rate_limit: { tokens_per_minute: 600 }"),
];

/// What a caller who leaves has asked for, in tokens and in dollars.
const ASKED: u64 = 60;

/// Callers who leave, at each gateway.
const LEAVERS: usize = 200;

/// When a caller leaves.
#[derive(Debug, Clone, Copy)]
enum Leave {
    /// When so much of the request is sent, in percent.
    Within(usize),
    /// So long after the request is sent.
    After(Duration),
}

/// A different moment for each caller: some while the request is read, most within the time that a decision takes, and some
/// when the upstream has the call.
fn leave(number: usize) -> Leave {
    match number % 8 {
        0 => Leave::Within(number % 100),
        step @ 1..=5 => Leave::After(Duration::from_micros(200 * step as u64 + 37 * (number as u64 % 50))),
        _ => Leave::After(Duration::from_millis(5 + number as u64 % 40)),
    }
}

/// A call that is never answered, and that its caller gives up.
async fn call_and_leave(gateway: SocketAddr, name: &str, leave: Leave) {
    let mut wire = Wire::open(gateway).await;
    let (key, body) = (key(name), asking(ASKED, STALLED));
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    match leave {
        Leave::Within(percent) => wire.write(&request[..request.len() * percent / 100]).await,
        Leave::After(time) => {
            wire.write(&request).await;
            sleep(time).await;
        }
    }
}

/// Waits until as many tokens are left, soon: they would come back with time anyway.
async fn assert_tokens_left(scene: &Scene, least: u64) {
    for node in 0..scene.nodes.len() {
        let began = now();
        let left = async || {
            let answer = scene.call(node, "tokens", asking(0, FAILING)).await;
            let left = number(&answer, "x-ratelimit-remaining-tokens");
            (left >= least || began.elapsed() > Duration::from_secs(1)).then_some(left)
        };
        let (left, _) = until("tokens to be left", left).await;
        assert!(left >= least, "{left} of {TOKENS} tokens left, says node {node}, and {least} should be");
    }
}

/// Makes a call that is served, or refused because others are in the way; gives what it used.
async fn call_and_stay(gateway: SocketAddr, name: &str) -> u64 {
    let answer = Client::connect(gateway).await.send(calling(name, asking(2, ""))).await;
    assert!([200, 429].contains(&answer.status.as_u16()), "{}", answer.text());
    u64::from(answer.status == 200)
}

/// Has many callers leave, and some stay meanwhile; gives what those used.
async fn most_leave(scene: &Scene, name: &'static str) -> u64 {
    let mut used = 0;
    for round in 0..LEAVERS / 8 {
        let (mut leavers, mut stayers) = (JoinSet::new(), JoinSet::new());
        for gateway in scene.addresses() {
            for number in 8 * round..8 * (round + 1) {
                leavers.spawn(call_and_leave(gateway, name, leave(number)));
            }
            stayers.spawn(call_and_stay(gateway, name));
        }
        leavers.join_all().await;
        used += stayers.join_all().await.iter().sum::<u64>();
    }
    let reached = scene.upstream.counts().total as u64 - used;
    println!("{name}: {} calls were left, {reached} of them at the upstream; {used} others were served", 2 * LEAVERS);
    assert!(reached > 0 && used > 0);
    scene.upstream.reaches("all to have left", |counts| counts.at_once == 0).await;
    used
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_their_places_and_their_money() {
    let act = async |scene: &mut Scene| {
        let used = most_leave(scene, "purse").await;
        scene.assert_left("purse", DOLLARS - used).await;
        scene.assert_places("purse", PLACES).await;
    };
    Play::of(&KEYS).run(act).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_their_tokens() {
    let act = async |scene: &mut Scene| {
        let used = most_leave(scene, "tokens").await;
        assert_tokens_left(scene, TOKENS - used).await;
    };
    Play::of(&KEYS).run(act).await;
}

/// Whoever leaves before Redis has answered has not been served either, and Redis may answer all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_calls_that_were_being_decided() {
    let act = async |scene: &mut Scene| {
        for round in 0..10 {
            let gateway = scene.addresses()[round % 2];
            scene.redis.pause();
            // Redis is waited for longer than that.
            let leave = Leave::After(Duration::from_millis(20));
            tokio::join!(call_and_leave(gateway, "purse", leave), call_and_leave(gateway, "tokens", leave));
            // Whoever comes next finds the others gone.
            assert_eq!(client::get(gateway, "/health").await.status, 200);
            scene.redis.resume();
            scene.until_redis("reachable").await;
        }
        scene.upstream.reaches("all to have left", |counts| counts.at_once == 0).await;
        scene.assert_left("purse", DOLLARS).await;
        scene.assert_places("purse", PLACES).await;
        assert_tokens_left(scene, TOKENS).await;
    };
    Play::of(&KEYS).run(act).await;
}
