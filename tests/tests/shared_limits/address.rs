//! Ways to Redis that lead nowhere: what is said of them, and what is not.

use gateway_testing::RedisServer;
use gateway_tests::patience::until;
use gateway_tests::site::Site;

use super::play::{Play, lost_and_back};
use super::scene::{Node, Scene, asking, redis_state};

const PASSWORD: &str = "hunter2-5c1e0b7f";

/// Another, which a server takes.
const RIGHT: &str = "swordfish-90d1f3a8";

const LIMITED: [(&str, &str); 1] = [("team", "rate_limit: { limit: 5, period_seconds: 72000 }")];

/// Stops a gateway that cannot use Redis, and gives the reason that it gave, once.
fn reason(node: Node) -> String {
    let log = node.stop();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("Redis does not answer")).collect();
    let [line] = lines[..] else { panic!("said once: {log:#?}") };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(!log.concat().contains(PASSWORD), "{log:#?}");
    line["reason"].as_str().unwrap_or_else(|| panic!("no reason in {line}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_does_not_let_the_gateway_in_is_one_that_is_away() {
    let Some(redis) = RedisServer::start_with(&["--requirepass", RIGHT]) else { return };
    let host = format!("127.0.0.1:{}", redis.port());
    let act = async |scene: &mut Scene| {
        for (row, url, expected) in [
            ("a wrong password", format!("redis://:{PASSWORD}@{host}"), "it refuses the user or the password"),
            ("a wrong name", format!("redis://{PASSWORD}:{RIGHT}@{host}"), "it refuses the user or the password"),
            ("no password", format!("redis://{host}"), "it wants a password, and redis.url has none (NOAUTH)"),
            ("no such database", format!("redis://:{RIGHT}@{host}/99"), "it refuses the database"),
            ("no password, and a database", format!("redis://{host}/3"), "it refuses the database"),
            ("nobody there", format!("redis://:{PASSWORD}@127.0.0.1:1"), "connection refused"),
            ("TLS where there is none", format!("rediss://:{PASSWORD}@{host}"), ""),
            ("no such host", format!("redis://:{PASSWORD}@redis.invalid"), ""),
        ] {
            scene.nodes = vec![scene.start_with_redis_at(&url)];
            scene.assert_redis("unreachable").await;
            assert_eq!(scene.call(0, "team", asking(1, "")).await.status, 200, "{row}");
            let reason = reason(scene.nodes.remove(0));
            println!("{row}: {reason}");
            assert!(reason.to_lowercase().contains(&expected.to_lowercase()), "{row}: {reason}");
            assert!(!reason.is_empty() && reason.len() < 200, "{row}: {reason}");
        }
        let node = scene.start_with_redis_at(&format!("redis://:{RIGHT}@{host}/3"));
        assert_eq!(redis_state(&node).await, "reachable");
        let log = node.stop();
        assert!(!log.concat().contains(RIGHT), "{log:#?}");
    };
    Play { nodes: 0, ..Play::of(&LIMITED) }.run(act).await;
}

/// Once the server takes the password, nothing has to be started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_becomes_right_lets_the_gateway_in() {
    let act = async |scene: &mut Scene| {
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", scene.redis.port());
        scene.nodes = vec![scene.start_with_redis_at(&url)];
        // A server without passwords takes none.
        scene.assert_redis("unreachable").await;
        scene.tell_redis(&format!("CONFIG SET requirepass {PASSWORD}")).await;
        scene.until_redis("reachable").await;
        let is_told = async || (lost_and_back(&scene.nodes[0]) == (1, 1)).then_some(());
        until("it to be told", is_told).await;
        let log = scene.nodes.remove(0).stop().concat();
        assert!(log.contains("Redis answers again") && !log.contains(PASSWORD), "{log}");
    };
    Play { nodes: 0, ..Play::of(&LIMITED) }.run(act).await;
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_when_it_is_checked_and_at_the_start() {
    for (url, expected) in [
        (format!("http://:{PASSWORD}@localhost"), "redis.url"),
        (PASSWORD.to_owned(), "redis.url"),
        (format!("redis://:{PASSWORD}@localhost:port"), "redis.url"),
        (format!("redis://:{PASSWORD}@localhost/database"), "redis.url"),
        (format!("redis://:{PASSWORD}@"), "redis.url"),
        ("redis://".to_owned(), "redis.url"),
        (format!("rediss://:{PASSWORD}@localhost#insecure"), "#insecure"),
    ] {
        let site = Site::of("providers: [ { name: main, type: simulator } ]\n").await.with("REDIS_URL", &url);
        for arguments in [&["check", "--config", "config.yaml"][..], &["--config", "config.yaml"]] {
            let run = site.run(arguments);
            let words = format!("{}{}", run.stdout, run.stderr);
            println!("{url}: {words}");
            assert!(run.code.is_some_and(|code| code != 0), "{arguments:?} {url}: {words}");
            assert!(words.contains(expected), "{arguments:?} {url}: {words}");
            assert!(!words.contains(PASSWORD), "{words}");
        }
    }
}
