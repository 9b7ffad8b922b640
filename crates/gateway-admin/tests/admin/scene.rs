//! An admin API with everything around it: store, clock, random numbers, a key in the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use bytes::Bytes;
use gateway_admin::{AdminService, Clock, FileKey, MasterKeys, Parts, Rng, StoredEntries, UsageReports, Visibility};
use gateway_keystore::{Actor, Position, StoreError, StoreFuture, Version};
use gateway_secret::{KeyDigester, Secret};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::Value;

use crate::fake_configuration::{FakeConfiguration, FakeProber};
use crate::fake_store::FakeStore;
use crate::fake_usage::FakeUsage;

pub(crate) const ADMIN_KEY: &str = "admin-key-for-tests";
pub(crate) const KEYS: &str = "/admin/v1/master-keys";
/// 2030-01-01T00:00:00Z.
const START: i64 = 1_893_456_000;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body; some answers are packed.
    pub(crate) bytes: Vec<u8>,
    /// The body as text; empty if it is none.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Status, `code` and `param` of an error.
    pub(crate) fn error(&self) -> (u16, String, Option<String>) {
        let error = self.json()["error"].clone();
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        assert!(text("message").is_some_and(|it| !it.is_empty()) && text("type").is_some(), "{}", self.text);
        (self.status.as_u16(), text("code").unwrap_or_default(), text("param"))
    }
}

pub(crate) struct Scene {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) node: Arc<Node>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) configuration: Arc<FakeConfiguration>,
    pub(crate) prober: Arc<FakeProber>,
    pub(crate) usage: Arc<FakeUsage>,
    pub(crate) service: AdminService,
}

/// The node that the API runs on: up to where it has read the store.
pub(crate) struct Node {
    store: Arc<FakeStore>,
    configuration: Arc<FakeConfiguration>,
    pub(crate) seen: AtomicI64,
    pub(crate) is_blind: AtomicBool,
}

impl Visibility for Node {
    fn wait_until_visible(&self, version: Version) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if self.is_blind.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable { source: "cut off".into() });
            }
            // What is wrong then stays out of force, as in earnest.
            drop(self.configuration.resolve_in_force());
            self.seen.fetch_max(version.0, Ordering::Relaxed);
            Ok(())
        })
    }

    fn position(&self) -> Option<Position> {
        Some(Position { version: Version(self.seen.load(Ordering::Relaxed)), ..Position::default() })
    }

    fn wait_until_not_at<'a>(&'a self, _: &'a Position) -> StoreFuture<'a, ()> {
        Box::pin(async {
            // Nobody waits without letting others run.
            tokio::task::yield_now().await;
            self.wait_until_visible(Version(self.store.version())).await
        })
    }
}

/// Time stands still until it is moved on, and random numbers count up.
pub(crate) struct FakeClock {
    pub(crate) second: AtomicI64,
    draws: AtomicU8,
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        // With more digits than a store keeps.
        Timestamp::new(self.second.load(Ordering::Relaxed), 123_456_789).unwrap()
    }
}

impl Rng for FakeClock {
    fn random(&self) -> Result<[u8; 32], getrandom::Error> {
        Ok([self.draws.fetch_add(1, Ordering::Relaxed); 32])
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with_file("")
    }

    /// With more in the file than the admin key.
    pub(crate) fn with_file(more: &str) -> Self {
        Self::build(&format!("{}{more}", file(ADMIN_KEY)), true)
    }

    pub(crate) fn with_admin_key(key: Option<&str>) -> Self {
        Self::build(&file(key.unwrap_or_default()), true)
    }

    pub(crate) fn without_store() -> Self {
        Self::build(&file(ADMIN_KEY), false)
    }

    fn build(file: &str, has_store: bool) -> Self {
        let store = Arc::<FakeStore>::default();
        let configuration = Arc::new(FakeConfiguration::new(Arc::clone(&store), file));
        let (seen, is_blind) = <(AtomicI64, AtomicBool)>::default();
        let node =
            Arc::new(Node { store: Arc::clone(&store), configuration: Arc::clone(&configuration), seen, is_blind });
        let clock = Arc::new(FakeClock { second: AtomicI64::new(START), draws: AtomicU8::new(1) });
        let digester = KeyDigester::default();
        let file_keys = vec![
            FileKey::new("from the file", &Secret::from("sk-of-the-file-000001"), &digester),
            FileKey { is_enabled: false, ..FileKey::new("another", &Secret::from("short"), &digester) },
        ];
        let (keys, entries) = if has_store {
            let entries = StoredEntries::new(Arc::clone(&store) as _, Arc::clone(&configuration) as _, Actor::Admin);
            (MasterKeys::new(Arc::clone(&store) as _, digester, Actor::Admin), entries)
        } else {
            (MasterKeys::without_store(digester), StoredEntries::without_store(Arc::clone(&configuration) as _))
        };
        let keys = keys
            .with_file_keys(move || file_keys.clone())
            .with_visibility(Arc::clone(&node) as _)
            .with_clock(Arc::clone(&clock) as _)
            .with_rng(Arc::clone(&clock) as _);
        let entries = entries.with_visibility(Arc::clone(&node) as _).with_clock(Arc::clone(&clock) as _);
        let (prober, usage) = <(Arc<FakeProber>, Arc<FakeUsage>)>::default();
        let reports = if has_store { reports(&usage, &clock) } else { UsageReports::without_store() };
        let parts = parts(&configuration, keys, entries, reports, &prober);
        Self { store, node, clock, configuration, prober, usage, service: AdminService::new(parts) }
    }

    /// Another node at the same store, of the same configuration.
    pub(crate) fn other_node(&self) -> Self {
        let Self { store, node, clock, configuration, prober, usage, .. } = self;
        let (store, node, clock, configuration) =
            (Arc::clone(store), Arc::clone(node), Arc::clone(clock), Arc::clone(configuration));
        let (prober, usage) = (Arc::clone(prober), Arc::clone(usage));
        let entries = StoredEntries::new(Arc::clone(&store) as _, Arc::clone(&configuration) as _, Actor::Admin);
        let entries = entries.with_visibility(Arc::clone(&node) as _).with_clock(Arc::clone(&clock) as _);
        let keys = MasterKeys::new(Arc::clone(&store) as _, KeyDigester::default(), Actor::Admin);
        let parts = parts(&configuration, keys, entries, reports(&usage, &clock), &prober);
        Self { store, node, clock, configuration, prober, usage, service: AdminService::new(parts) }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = self.service.answer(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let text = String::from_utf8(bytes.clone()).unwrap_or_default();
        Answer { status: head.status, headers: head.headers, bytes, text }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.send(request(method, path, body)).await;
        assert_eq!(answer.headers.get("cache-control").unwrap(), "no-store");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    /// Makes a key that has to come about.
    pub(crate) async fn create(&self, body: &str) -> Value {
        let answer = self.call("POST", KEYS, body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()
    }
}

fn reports(usage: &Arc<FakeUsage>, clock: &Arc<FakeClock>) -> UsageReports {
    UsageReports::new(Arc::clone(usage) as _).with_flush(Arc::clone(usage) as _).with_clock(Arc::clone(clock) as _)
}

fn parts(
    configuration: &Arc<FakeConfiguration>,
    keys: MasterKeys,
    entries: StoredEntries,
    usage: UsageReports,
    prober: &Arc<FakeProber>,
) -> Parts {
    let (configuration, prober) = (Arc::clone(configuration) as _, Arc::clone(prober) as _);
    Parts { configuration, keys, entries, usage, prober }
}

/// A file with this admin key and nothing else.
fn file(admin_key: &str) -> String {
    format!("auth: none\nadmin: {{ key: '{admin_key}' }}\n")
}

pub(crate) fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {ADMIN_KEY}"));
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}
