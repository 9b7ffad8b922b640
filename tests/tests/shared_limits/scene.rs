//! Two gateways that share a Redis, in front of one upstream.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use gateway_testing::{Answer, Client, GatewayProcess, RedisServer, client};
use gateway_tests::patience::until;
use gateway_tests::stage::{CHAT, ONE_ATTEMPT, with_header};
use gateway_tests::wire::Wire;
use http::Request;
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use super::upstream::{HELD, Upstream};

/// A token of an answer is a dollar.
const PRICED: &str = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    model_mapping:
      gpt-4o: { mapped_model: gpt-4o-2024, output_cost_per_million_tokens: 1000000 }
"#;

/// Tests take turns: a Redis that has to wait for its processor is too slow, which is not what any of them is about.
static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other test of this suite runs.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// What gateways have in common, and some of them.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) redis: RedisServer,
    pub(crate) upstream: Upstream,
    pub(crate) nodes: Vec<GatewayProcess>,
    config: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// Two gateways with these keys, each of which has a name and further fields, and further top-level sections. None where
    /// there is no Redis to be had.
    pub(crate) async fn with(keys: &[(&str, &str)], sections: &str) -> Option<Self> {
        Self::charging(1, keys, sections).await
    }

    /// The same; each answer takes so many tokens.
    pub(crate) async fn charging(completion: u64, keys: &[(&str, &str)], sections: &str) -> Option<Self> {
        let mut scene = Self::empty(completion, keys, sections).await?;
        scene.nodes = vec![scene.start(), scene.start()];
        scene.are_acquainted(2).await;
        Some(scene)
    }

    /// The same without gateways yet.
    pub(crate) async fn empty(completion: u64, keys: &[(&str, &str)], sections: &str) -> Option<Self> {
        let turn = turn().await;
        let redis = RedisServer::start()?;
        let upstream = Upstream::start(completion).await;
        let lines = keys.iter().map(|(name, fields)| format!("  - {{ name: {name}, key: {}, {fields} }}\n", key(name)));
        let config = format!("{PRICED}{ONE_ATTEMPT}{sections}master_keys:\n{}", lines.collect::<String>());
        Some(Self { redis, upstream, nodes: Vec::new(), config, _turn: turn })
    }

    /// Starts another gateway.
    pub(crate) fn start(&self) -> GatewayProcess {
        self.start_with_redis_at(&self.redis.url())
    }

    /// The same with another way to Redis.
    pub(crate) fn start_with_redis_at(&self, url: &str) -> GatewayProcess {
        let upstream = self.upstream.api_base();
        // Calls by the thousand are not written down each.
        let environment = [("UPSTREAM", &*upstream), ("REDIS_URL", url), ("RUST_LOG", "info,access=warn")];
        GatewayProcess::start_with(&self.config, &environment)
    }

    /// Waits until so many gateways know of each other. Nothing but Redis says so: each writes down from time to time that
    /// it is there, and then hears of all.
    pub(crate) async fn are_acquainted(&self, nodes: usize) {
        let all_are_there = Timestamp::now().as_microsecond();
        let redis = SocketAddr::from((Ipv4Addr::LOCALHOST, self.redis.port()));
        until("the gateways to know of each other", async || {
            let mut wire = Wire::open(redis).await;
            wire.write(format!("ZCOUNT llmgw:{{nodes}} ({all_are_there} +inf\r\nQUIT\r\n")).await;
            wire.rest().await.starts_with(&format!(":{nodes}\r\n")).then_some(())
        })
        .await;
    }

    /// Makes a call at a gateway, by its number.
    pub(crate) async fn call(&self, node: usize, name: &str, body: impl Into<Bytes>) -> Answer {
        Client::connect(self.nodes[node].address()).await.send(calling(name, body)).await
    }

    /// Makes a call that is held at the upstream and takes so many tokens at most; gives the answer if it is not let through.
    pub(crate) async fn hold(&self, node: usize, name: &str, tokens: u64) -> Result<JoinHandle<Answer>, Answer> {
        let total = self.upstream.counts().total;
        let (address, request) = (self.nodes[node].address(), calling(name, asking(tokens, HELD)));
        let mut call = tokio::spawn(async move { Client::connect(address).await.send(request).await });
        tokio::select! {
            answer = &mut call => Err(answer.unwrap()),
            () = self.upstream.reaches("a call", |counts| counts.total > total) => Ok(call),
        }
    }

    /// What `/readyz` says of Redis, for each gateway. Panics if one is not ready.
    pub(crate) async fn redis_states(&self) -> Vec<String> {
        let mut states = Vec::new();
        for node in &self.nodes {
            states.push(redis_state(node).await);
        }
        states
    }

    /// Waits until all gateways say this of Redis.
    pub(crate) async fn all_say(&self, state: &str) {
        until(&format!("Redis to be {state}"), async || {
            self.redis_states().await.iter().all(|found| found == state).then_some(())
        })
        .await;
    }
}

/// What `/readyz` says of Redis. Panics if the gateway is not ready.
pub(crate) async fn redis_state(node: &GatewayProcess) -> String {
    let answer = client::get(node.address(), "/readyz").await;
    let found = answer.json();
    assert_eq!((answer.status.as_u16(), found["status"].as_str()), (200, Some("ready")), "{found}");
    found["redis"].as_str().unwrap_or_else(|| panic!("nothing of Redis: {found}")).to_owned()
}

/// What the caller of this name presents.
pub(crate) fn key(name: &str) -> String {
    format!("sk-{name}-6f0c2d9e48b1")
}

/// A call of the caller of this name.
pub(crate) fn calling(name: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    with_header(client::request("POST", CHAT, body), "authorization", &format!("Bearer {}", key(name)))
}

/// A call without a prompt that takes so many tokens at most; `user` says what the upstream does with it.
pub(crate) fn asking(tokens: u64, user: &str) -> String {
    json!({ "model": "gpt-4o", "max_tokens": tokens, "user": user }).to_string()
}

/// A header that is a number. Panics if it is none.
pub(crate) fn number(answer: &Answer, name: &str) -> u64 {
    let value = answer.header(name);
    value.parse().unwrap_or_else(|_| panic!("{name}: {value:?}: {} {}", answer.status, answer.text()))
}

/// The log lines that say that Redis was lost, and those that say that it is back.
pub(crate) fn lost_and_back(log: &[String]) -> (usize, usize) {
    let count = |words: &str| {
        log.iter().filter(|line| line.contains(words)).count()
    };
    (count("Redis does not answer"), count("Redis answers again"))
}

/// A log line's members. Panics if it has none.
pub(crate) fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
}
