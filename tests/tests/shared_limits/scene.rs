//! Gateways that share a Redis, in front of one upstream.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use gateway_testing::{Answer, Client, Folder, GatewayProcess, RedisServer, client};
use gateway_tests::administrator::ADMIN_KEY;
use gateway_tests::patience::until;
use gateway_tests::site;
use gateway_tests::stage::ONE_ATTEMPT;
use gateway_tests::wire::Wire;
use http::Request;
use http_body_util::Full;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinHandle;

use super::upstream::{FAILING, HELD, Upstream};

/// A token of an answer is a dollar.
const PRICED: &str = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    model_mapping:
      gpt-4o: { mapped_model: gpt-4o-2024, output_cost_per_million_tokens: 1000000 }
"#;

/// What gateways have in common, and some of them.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) redis: RedisServer,
    pub(crate) upstream: Upstream,
    pub(crate) nodes: Vec<Node>,
    /// Holds the store of those that have one.
    folder: Folder,
    /// The members of `redis` in their configuration.
    settings: String,
    config: String,
}

/// A gateway, and what it has said.
#[derive(Debug)]
pub(crate) struct Node {
    process: GatewayProcess,
    log: Mutex<Vec<String>>,
}

impl Node {
    pub(crate) fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// What it has said until now.
    pub(crate) fn log(&self) -> Vec<String> {
        let mut log = self.log.lock();
        log.extend(self.process.log_lines());
        log.clone()
    }

    /// Asks it to stop, and gives all that it has said.
    pub(crate) fn stop(self) -> Vec<String> {
        let log = self.log.into_inner();
        [log, self.process.stop()].concat()
    }

    /// Ends it at once.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
    }
}

impl Scene {
    /// A place for gateways with these keys, each of which has a name and further fields, and these members of `redis`.
    /// None where there is no Redis to be had.
    pub(crate) async fn new(keys: &[(&str, &str)], settings: &str) -> Option<Self> {
        let redis = RedisServer::start()?;
        let (upstream, folder) = (Upstream::start().await, Folder::empty());
        let (nodes, settings) = (Vec::new(), settings.to_owned());
        let mut scene = Self { redis, upstream, nodes, folder, settings, config: String::new() };
        scene.change_keys(keys);
        Some(scene)
    }

    /// Gateways that are started from now on have these keys.
    pub(crate) fn change_keys(&mut self, keys: &[(&str, &str)]) {
        let lines = keys.iter().map(|(name, fields)| format!("  - {{ name: {name}, key: {}, {fields} }}\n", key(name)));
        let keys: String = lines.collect();
        self.config = format!("{PRICED}{ONE_ATTEMPT}redis: {{ {} }}\nmaster_keys:\n{keys}", self.settings);
    }

    /// Starts another gateway.
    pub(crate) fn start(&self) -> Node {
        self.start_with_redis_at(&self.redis.url())
    }

    /// The same with another way to Redis.
    pub(crate) fn start_with_redis_at(&self, url: &str) -> Node {
        self.start_with(&[("REDIS_URL", url)])
    }

    /// Starts another gateway with an Admin API, and with the store that all such gateways share.
    pub(crate) fn start_with_store(&self) -> Node {
        let store = format!("sqlite:{}", self.folder.path().join("gateway.db").display());
        self.start_with(&[("REDIS_URL", &self.redis.url()), ("DB_URL", &store), ("ADMIN_KEY", ADMIN_KEY)])
    }

    fn start_with(&self, environment: &[(&str, &str)]) -> Node {
        let upstream = self.upstream.api_base();
        // Calls by the thousand are not written down each, nor those that are meant to fail.
        let levels = "info,access=warn,gateway_core::attempt=error";
        let common = [("UPSTREAM", &*upstream), ("RUST_LOG", levels)];
        let process = GatewayProcess::start_with(&self.config, &[&common, environment].concat());
        Node { process, log: Mutex::default() }
    }

    /// Waits until all gateways know of each other. Nothing but Redis says so: each writes down from time to time that it is
    /// there, and then hears of all.
    pub(crate) async fn are_acquainted(&self) {
        let all_are_there = Timestamp::now().as_microsecond();
        let (count, nodes) = (format!("ZCOUNT llmgw:{{nodes}} ({all_are_there} +inf"), self.nodes.len());
        let look = async || self.tell_redis(&count).await.starts_with(&format!(":{nodes}\r\n")).then_some(());
        until("the gateways to know of each other", look).await;
    }

    /// Gives Redis a command; what it answers.
    pub(crate) async fn tell_redis(&self, command: &str) -> String {
        let mut wire = Wire::open((Ipv4Addr::LOCALHOST, self.redis.port()).into()).await;
        wire.write(format!("{command}\r\nQUIT\r\n")).await;
        wire.rest().await
    }

    /// Where the gateways are.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
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

    /// Panics unless a key has so many places, which all gateways find, and not one more.
    pub(crate) async fn assert_places(&self, name: &str, places: usize) {
        let mut held = Vec::new();
        for place in 0..places {
            let node = place % self.nodes.len();
            let (call, _) = until("a place", async || self.hold(node, name, 0).await.ok()).await;
            held.push(call);
        }
        for node in 0..self.nodes.len() {
            let refused = self.hold(node, name, 0).await.expect_err("one more place");
            assert_eq!(refused.error_code(), "concurrency_limit_exceeded", "{}", refused.text());
        }
        self.upstream.release();
        for call in held {
            assert_eq!(call.await.unwrap().status, 200);
        }
    }

    /// Waits until so many dollars are left of a key's budget, as all gateways see it. Panics if there are more. Changes
    /// nothing: the calls that find it out fail.
    pub(crate) async fn assert_left(&self, name: &str, dollars: u64) {
        let is_refused = async |node: usize, dollars: u64| {
            let answer = self.call(node, name, asking(dollars, FAILING)).await;
            assert!(answer.status == 502 || answer.error_code() == "insufficient_quota", "{}", answer.text());
            answer.status != 502
        };
        let are_left = async |node: usize| {
            let look = async || (!is_refused(node, dollars).await).then_some(());
            until(&format!("{dollars} dollars to be left"), look).await;
        };
        for node in 0..self.nodes.len() {
            are_left(node).await;
        }
        for node in 0..self.nodes.len() {
            assert!(is_refused(node, dollars + 1).await, "more than {dollars} dollars left");
        }
        // What the last look has kept back is there again.
        are_left(0).await;
    }

    /// Panics unless all gateways say this of Redis, and are ready.
    pub(crate) async fn assert_redis(&self, state: &str) {
        for node in &self.nodes {
            assert_eq!(redis_state(node).await, state);
        }
    }

    /// Waits until all gateways say this of Redis. Panics if one is not ready.
    pub(crate) async fn until_redis(&self, state: &str) {
        for node in &self.nodes {
            let look = async || (redis_state(node).await == state).then_some(());
            until(&format!("Redis to be {state}"), look).await;
        }
    }
}

/// A test that fails shows what the gateways have said.
impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.nodes.iter().for_each(|node| println!("{:#?}", node.log()));
        }
    }
}

/// What `/readyz` says of Redis. Panics if the gateway is not ready.
pub(crate) async fn redis_state(node: &Node) -> String {
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
    site::calling(&key(name), body)
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
