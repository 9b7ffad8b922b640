//! Who gets in, and what those learn who do not.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use gateway_admin::AdminService;
use http::Request;
use http_body_util::Full;

use crate::scene::{ADMIN_KEY, KEYS, Scene, request};

const PATHS: [&str; 6] =
    [KEYS, "/admin/v1/master-keys/a", "/admin/v1/audit", "/admin", "/admin/v1/nothing", "/api/keys"];

fn without_key(method: &str, path: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).body(Full::new(Bytes::from("{"))).unwrap()
}

#[tokio::test]
async fn nobody_gets_in_where_there_is_no_admin_key() {
    for key in [None, Some("")] {
        let scene = Scene::with_admin_key(key);
        for path in PATHS {
            let mut request = without_key("POST", path);
            let presented = format!("Bearer {}", key.unwrap_or(""));
            request.headers_mut().insert("authorization", presented.parse().unwrap());
            let answer = scene.send(request).await;
            assert_eq!(answer.error(), (403, "admin_disabled".to_owned(), None), "{path}");
            assert!(answer.text.contains("ADMIN_KEY") && answer.text.contains("12 characters"), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn without_the_right_key_every_path_is_the_same() {
    let scene = Scene::new();
    for path in PATHS {
        for method in ["GET", "POST", "DELETE", "OPTIONS", "BREW"] {
            let missing = scene.send(without_key(method, path)).await;
            assert_eq!(missing.error(), (401, "missing_admin_key".to_owned(), None), "{method} {path}");
            assert_eq!(missing.headers["www-authenticate"], "Bearer");
            let mut request = without_key(method, path);
            request.headers_mut().insert("authorization", "Bearer admin-key-for-testz".parse().unwrap());
            assert_eq!(
                scene.send(request).await.error(),
                (401, "invalid_admin_key".to_owned(), None),
                "{method} {path}"
            );
        }
    }
    assert_eq!(scene.store.writes(), 0);
}

#[tokio::test]
async fn the_key_is_taken_from_one_place_only() {
    let scene = Scene::new();
    let with = |pairs: &[(&'static str, String)]| {
        let mut request = without_key("GET", KEYS);
        for (name, value) in pairs {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    };
    let bearer = || ("authorization", format!("Bearer {ADMIN_KEY}"));
    for (request, status) in [
        (with(&[bearer()]), 200),
        (with(&[("authorization", format!("bEARER   {ADMIN_KEY} "))]), 200),
        (with(&[bearer(), bearer()]), 401),
        (with(&[("authorization", ADMIN_KEY.to_owned())]), 401),
        (with(&[("authorization", format!("Basic {ADMIN_KEY}"))]), 401),
        (with(&[("x-api-key", ADMIN_KEY.to_owned())]), 401),
        (with(&[("authorization", "Bearer ".to_owned())]), 401),
        (without_key("GET", &format!("{KEYS}?key={ADMIN_KEY}")), 401),
        (without_key("GET", &format!("{KEYS}?api_key={ADMIN_KEY}")), 401),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(scene.send(request).await.status.as_u16(), status, "{shown}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_only_to_administrators() {
    let scene = Scene::new();
    for path in
        ["/admin", "/admin/", "/admin/v1/nothing", "/admin/v1/master-keys/", "/api/keys/a", "/admin/v1//master-keys"]
    {
        assert_eq!(scene.get(path).await.error(), (404, "not_found".to_owned(), None), "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", KEYS, "GET, POST"),
        ("HEAD", KEYS, "GET, POST"),
        ("POST", "/admin/v1/master-keys/a", "GET, PUT, PATCH, DELETE"),
        ("GET", "/admin/v1/master-keys/a/rotate", "POST"),
        ("GET", "/api/keys", "POST"),
        ("POST", "/admin/v1/audit", "GET"),
    ] {
        let answer = scene.call(method, path, "{}").await;
        assert_eq!(answer.error(), (405, "method_not_allowed".to_owned(), None), "{method} {path}");
        assert_eq!(answer.headers["allow"], allow);
    }
}

#[test]
fn the_service_knows_its_paths() {
    for path in PATHS {
        assert!(AdminService::handles(path), "{path}");
    }
    for path in ["/", "/administrator", "/api/keysmith", "/v1/models", "/api"] {
        assert!(!AdminService::handles(path), "{path}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_said_to_be_and_nothing_more() {
    let scene = Scene::new();
    scene.create(r#"{"id": "a", "name": "a"}"#).await;
    scene.store.is_down.store(true, Ordering::Relaxed);
    for (method, path) in [
        ("GET", KEYS),
        ("GET", "/admin/v1/master-keys/a"),
        ("PATCH", "/admin/v1/master-keys/a"),
        ("DELETE", "/admin/v1/master-keys/a"),
        ("POST", "/admin/v1/master-keys/a/rotate"),
        ("GET", "/admin/v1/audit"),
    ] {
        let answer = scene.call(method, path, "{}").await;
        assert_eq!(answer.error(), (503, "store_unavailable".to_owned(), None), "{method} {path}");
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(!answer.text.contains("5432"), "{}", answer.text);
    }
    let answer = scene.call("POST", KEYS, r#"{"name": "b"}"#).await;
    assert_eq!(answer.error(), (503, "store_unavailable".to_owned(), None));
    assert!(!answer.text.contains("sk-gw-"));
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_told_from_one_that_is_down() {
    let scene = Scene::new();
    scene.create(r#"{"id": "a", "name": "a"}"#).await;
    scene.store.is_full.store(true, Ordering::Relaxed);
    for (method, path, body) in [
        ("POST", KEYS, r#"{"name": "b"}"#),
        ("PATCH", "/admin/v1/master-keys/a", r#"{"name": "b"}"#),
        ("DELETE", "/admin/v1/master-keys/a", ""),
        ("POST", "/admin/v1/master-keys/a/rotate", "{}"),
    ] {
        let answer = scene.call(method, path, body).await;
        assert_eq!(answer.error(), (503, "store_not_written".to_owned(), None), "{method} {path}");
        assert_eq!(answer.headers["retry-after"], "1");
        let has = |words: &str| answer.text.contains(words);
        assert!(
            has("could not be written") && has("nothing was changed") && !has("cannot be reached"),
            "{}",
            answer.text
        );
        assert!(!has("disk") && !has("sk-gw-"), "{}", answer.text);
    }
    assert_eq!((scene.store.writes(), scene.get(KEYS).await.status.as_u16()), (1, 200));
}

#[tokio::test]
async fn a_node_that_is_cut_off_does_not_claim_that_a_change_is_live() {
    let scene = Scene::new();
    scene.create(r#"{"id": "a", "name": "a"}"#).await;
    scene.node.is_blind.store(true, Ordering::Relaxed);
    // A key that is made can be told only now.
    assert!(scene.create(r#"{"id": "b", "name": "b"}"#).await["key"].is_string());
    assert_eq!(scene.call("POST", "/admin/v1/master-keys/b/rotate", "").await.status.as_u16(), 200);
    let changed = scene.call("PATCH", "/admin/v1/master-keys/a", r#"{"is_enabled": false}"#).await;
    assert_eq!(changed.error(), (503, "store_unavailable".to_owned(), None));
    assert!(changed.text.contains("stored") && !scene.store.record("a").unwrap().is_enabled);
    assert_eq!(scene.call("DELETE", "/admin/v1/master-keys/a", "").await.status.as_u16(), 503);
    assert!(scene.store.record("a").is_none());
}

#[tokio::test]
async fn bodies_are_small_plain_json() {
    let scene = Scene::new();
    let large = format!(r#"{{"name": "a", "metadata": {{"a": "{}"}}}}"#, "x".repeat(1 << 20));
    assert_eq!(scene.call("POST", KEYS, &large).await.error(), (413, "request_too_large".to_owned(), None));
    for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let mut request = request("POST", KEYS, r#"{"name": "a"}"#);
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(scene.send(request).await.error(), (415, "unsupported_media_type".to_owned(), None));
    }
    let mut request = request("POST", KEYS, r#"{"name": "a"}"#);
    request.headers_mut().remove("content-type");
    assert_eq!(scene.send(request).await.status.as_u16(), 415);
    assert_eq!(scene.store.writes(), 0);
}
