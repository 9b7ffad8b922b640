//! Who gets into the Admin API, and where it is.

use bytes::Bytes;
use gateway_testing::client;
use gateway_tests::administrator::{ADMIN_KEY, AUDIT, Administrator, KEYS, one, signed};
use gateway_tests::site::{FILED, Node, STORED, Site, bad, calling, good, verdict};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, with_header};
use http::Request;
use http_body_util::Full;
use serde_json::json;

/// Paths that are the Admin API's, also where nothing is.
const PATHS: [&str; 10] = [
    KEYS,
    AUDIT,
    "/admin/v1/master-keys/x",
    "/admin/v1/master-keys/x/rotate",
    "/api/keys",
    "/api/keys/x",
    "/admin",
    "/admin/",
    "/admin/v1",
    "/admin/v2/../v1/master-keys",
];

fn with_bearer(method: &str, path: &str, key: &str) -> Request<Full<Bytes>> {
    with_header(client::request(method, path, ""), "authorization", &format!("Bearer {key}"))
}

#[tokio::test]
async fn without_an_admin_key_nobody_gets_in_and_all_are_told_why() {
    let mut site = Site::of(&[STORED, FILED].concat()).await;
    site.set("ADMIN_KEY", "");
    let node = site.start();
    for path in PATHS {
        for request in [
            client::request("GET", path, ""),
            client::request("POST", path, "{}"),
            with_bearer("GET", path, ""),
            with_bearer("GET", path, ADMIN_KEY),
            with_bearer("DELETE", path, CALLER_KEY),
        ] {
            let row = format!("{request:?}");
            let answer = node.send(request).await;
            assert_eq!(verdict(&answer), bad(403, "admin_disabled"), "{row}");
            let error = &answer.json()["error"];
            assert_eq!(error["type"], "permission_error");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("ADMIN_KEY") && message.contains("12 characters"), "{message}");
        }
    }
    assert_eq!(node.verdict(CALLER_KEY).await, good());
    // Nobody could put a key there.
    assert!(!site.folder.path().join("gateway.db").exists());
}

#[tokio::test]
async fn whoever_has_no_admin_key_learns_nothing() {
    let site = Site::of(&[STORED, FILED].concat()).await;
    let node = site.start();
    let made = node.admin().create(json!({ "id": "x", "name": "x" })).await;
    let wrong = bad(401, "invalid_admin_key");
    let missing = bad(401, "missing_admin_key");
    let almost = ADMIN_KEY.replace('e', "f");
    for path in PATHS {
        for method in ["GET", "POST", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            for (request, expected) in [
                (client::request(method, path, ""), &missing),
                (with_bearer(method, path, ""), &missing),
                (with_bearer(method, path, &almost), &wrong),
                (with_bearer(method, path, &ADMIN_KEY[1..]), &wrong),
                (with_bearer(method, path, &format!("{ADMIN_KEY}x")), &wrong),
                (with_bearer(method, path, CALLER_KEY), &wrong),
                (with_bearer(method, path, &made.key), &wrong),
                (with_header(client::request(method, path, ""), "x-api-key", ADMIN_KEY), &missing),
                (with_header(with_bearer(method, path, ADMIN_KEY), "authorization", "Bearer x"), &missing),
                (client::request(method, &format!("{path}?key={ADMIN_KEY}&api_key={ADMIN_KEY}"), ""), &missing),
            ] {
                let row = format!("{request:?}");
                let answer = node.send(request).await;
                assert_eq!(verdict(&answer), *expected, "{row}");
                assert_eq!(answer.header("www-authenticate"), "Bearer", "{row}");
            }
        }
    }
    assert_eq!(node.admin().list().await.len(), 2);
}

#[tokio::test]
async fn the_admin_key_is_no_callers_key() {
    let site = Site::new().await;
    let node = site.start();
    assert_eq!(node.verdict(ADMIN_KEY).await, bad(401, "invalid_api_key"));
    let answer = node.send(with_bearer("GET", "/v1/models", ADMIN_KEY)).await;
    assert_eq!(verdict(&answer), bad(401, "invalid_api_key"));
}

#[tokio::test]
async fn with_the_key_it_is_said_what_there_is() {
    let site = Site::new().await;
    let node = site.start();
    node.admin().create(json!({ "id": "x", "name": "x" })).await;
    for path in ["/admin", "/admin/", "/admin/v1", "/admin/v1/nothing", "/api/keys/x", "/admin/v1/master-keys/x/y"] {
        assert_eq!(verdict(&node.admin().send("GET", path, "").await), bad(404, "not_found"), "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", KEYS, "GET, POST"),
        ("POST", &*one("x"), "GET, PUT, PATCH, DELETE"),
        ("GET", "/admin/v1/master-keys/x/rotate", "POST"),
        ("GET", "/api/keys", "POST"),
        ("BREW", AUDIT, "GET"),
    ] {
        let answer = node.admin().send(method, path, "").await;
        assert_eq!(
            (verdict(&answer), answer.header("allow")),
            (bad(405, "method_not_allowed"), allow),
            "{method} {path}"
        );
    }
    // What only looks alike is no business of the Admin API.
    for path in ["/administrator", "/api/keysx", "/v1/admin/v1/master-keys", "//admin/v1/master-keys"] {
        let answer = node.admin().send("GET", path, "").await;
        assert!(matches!(answer.status.as_u16(), 401 | 404), "{path}: {}", answer.text());
        assert_ne!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn a_weak_admin_key_is_refused_or_warned_of() {
    let mut site = Site::new().await;
    for (key, code) in [("eleven-char", Some(1)), ("x", Some(1))] {
        site.set("ADMIN_KEY", key);
        let run = site.run(&["serve"]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stderr.contains("admin.key") && run.stderr.contains("12"), "{}", run.stderr);
        assert!(!run.stderr.contains(key) || key.len() == 1, "{}", run.stderr);
    }
    site.set("ADMIN_KEY", "twelve-chars");
    let node = site.start();
    let line = node.process.log_line(|line| line.contains("WARN") && line.contains("admin"));
    assert!(line.contains("24") && !line.contains("twelve-chars"), "{line}");
    let answer = node.send(with_bearer("GET", KEYS, "twelve-chars")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn without_a_store_keys_can_be_seen_and_not_made() {
    let site = Site::of(&[STORED, FILED].concat()).await.with("DB_URL", "none");
    let node = site.start();
    let listed = node.admin().list().await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &json!("filed")));
    for path in [KEYS, "/api/keys"] {
        let answer = node.admin().send("POST", path, r#"{"name":"x"}"#).await;
        assert_eq!(verdict(&answer), bad(409, "no_store"), "{path}");
        assert!(answer.text().contains("store.url") && answer.text().contains("DB_URL"), "{}", answer.text());
    }
    assert_eq!(verdict(&node.admin().send("DELETE", &one("filed"), "").await), bad(409, "read_only"));
    assert_eq!(verdict(&node.admin().send("DELETE", &one("x"), "").await), bad(404, "key_not_found"));
    assert!(node.admin().audit().await.is_empty());
    assert_eq!(node.verdict(CALLER_KEY).await, good());
    assert_eq!(node.readiness().await, (200, json!({ "status": "ready" })));
    assert_eq!(site.folder.files().len(), 1, "nothing but the configuration");
}

/// Where administrators have a listener of their own.
fn admin_address(node: &Node) -> Administrator {
    let line = node.process.log_line(|line| line.contains("listening for administrators"));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    Administrator(line["address"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn the_admin_api_may_have_a_listener_of_its_own() {
    let config = [STORED, FILED, "admin: { listen: \"127.0.0.1:0\" }\n"].concat();
    let site = Site::of(&config).await;
    let node = site.start();
    let admin = admin_address(&node);
    let made = admin.create(json!({ "id": "x", "name": "x" })).await;
    assert_eq!(node.verdict(&made.key).await, good());
    admin.change("x", json!({ "is_enabled": false })).await;
    assert_eq!(node.verdict(&made.key).await, bad(401, "disabled_api_key"));
    // It has left the callers' side, where its paths are like any other that is not there.
    for path in PATHS {
        for request in [signed("GET", path, ""), signed("POST", path, "{}"), client::request("GET", path, "")] {
            let answer = node.send(request).await;
            assert_eq!(verdict(&answer), bad(404, "not_found"), "{path}");
        }
        let as_caller = node.send(calling(CALLER_KEY, CALL)).await;
        assert_eq!(as_caller.status, 200);
    }
    // And callers' paths are not on its side, whoever asks.
    let sent = site.upstream.requests().len();
    for path in [CHAT, "/v1/models", "/health", "/readyz", "/livez", "/"] {
        for method in ["GET", "POST"] {
            assert_eq!(verdict(&admin.send(method, path, "").await), bad(404, "not_found"), "{method} {path}");
        }
        let unknown = client::get(admin.0, path).await;
        assert_eq!(verdict(&unknown), bad(401, "missing_admin_key"), "{path}");
    }
    let answer = gateway_testing::Client::connect(admin.0).await.send(calling(CALLER_KEY, CALL)).await;
    assert_eq!(verdict(&answer), bad(401, "invalid_admin_key"));
    assert_eq!(site.upstream.requests().len(), sent);
    // Both end with the process.
    node.process.stop();
    assert!(tokio::net::TcpStream::connect(admin.0).await.is_err());
}

#[tokio::test]
async fn an_admin_listener_without_a_key_lets_nobody_in() {
    let mut site = Site::of(&[STORED, "admin: { listen: \"127.0.0.1:0\" }\n"].concat()).await;
    site.set("ADMIN_KEY", "");
    let node = site.start();
    let admin = admin_address(&node);
    assert_eq!(verdict(&admin.send("GET", KEYS, "").await), bad(403, "admin_disabled"));
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::of(&format!("{STORED}admin: {{ listen: \"{address}\" }}\n")).await;
    let run = site.run(&["serve"]);
    assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{run:?}");
    assert!(run.stderr.contains("admin.listen") && run.stderr.contains("in use"), "{}", run.stderr);
    assert!(run.stderr.contains(&address.to_string()), "{}", run.stderr);
}
