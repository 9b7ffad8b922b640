//! An admin API with everything around it: store, clock, random numbers, a key in the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use bytes::Bytes;
use gateway_admin::{AdminService, Clock, FileKey, MasterKeys, Rng, Visibility};
use gateway_keystore::{Actor, StoreError, StoreFuture, Version};
use gateway_secret::{KeyDigester, Secret};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::Value;

use crate::fake_store::FakeStore;

pub(crate) const ADMIN_KEY: &str = "admin-key-for-tests";
pub(crate) const KEYS: &str = "/admin/v1/master-keys";
/// 2030-01-01T00:00:00Z.
const START: i64 = 1_893_456_000;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
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
        assert!(!text("message").unwrap().is_empty() && text("type").is_some(), "{}", self.text);
        (self.status.as_u16(), text("code").unwrap_or_default(), text("param"))
    }
}

pub(crate) struct Scene {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) node: Arc<Node>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) service: AdminService,
}

/// The node that the API runs on: up to where it has read the store.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) seen: AtomicI64,
    pub(crate) is_blind: AtomicBool,
}

impl Visibility for Node {
    fn wait_until_visible(&self, version: Version) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if self.is_blind.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable { source: "cut off".into() });
            }
            self.seen.fetch_max(version.0, Ordering::Relaxed);
            Ok(())
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
        Self::with_admin_key(Some(ADMIN_KEY))
    }

    pub(crate) fn with_admin_key(key: Option<&str>) -> Self {
        Self::build(key, |store| MasterKeys::new(store, KeyDigester::default(), Actor::Admin))
    }

    pub(crate) fn without_store() -> Self {
        Self::build(Some(ADMIN_KEY), |_| MasterKeys::without_store(KeyDigester::default()))
    }

    fn build(key: Option<&str>, keys: impl FnOnce(Arc<FakeStore>) -> MasterKeys) -> Self {
        let (store, node) = (Arc::<FakeStore>::default(), Arc::<Node>::default());
        let clock = Arc::new(FakeClock { second: AtomicI64::new(START), draws: AtomicU8::new(1) });
        let digester = KeyDigester::default();
        let file_keys = vec![
            FileKey::new("from the file", &Secret::from("sk-of-the-file-000001"), &digester),
            FileKey { is_enabled: false, ..FileKey::new("another", &Secret::from("short"), &digester) },
        ];
        let keys = keys(Arc::clone(&store))
            .with_file_keys(move || file_keys.clone())
            .with_visibility(Arc::clone(&node) as _)
            .with_clock(Arc::clone(&clock) as _)
            .with_rng(Arc::clone(&clock) as _);
        let service = AdminService::new(key.map(Secret::from).as_ref(), keys);
        Self { store, node, clock, service }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = self.service.answer(request).await.into_parts();
        let text = body.collect().await.unwrap().to_bytes().to_vec();
        assert_eq!(head.headers.get("cache-control").unwrap(), "no-store");
        Answer { status: head.status, headers: head.headers, text: String::from_utf8(text).unwrap() }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(request(method, path, body)).await
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

pub(crate) fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {ADMIN_KEY}"));
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}
