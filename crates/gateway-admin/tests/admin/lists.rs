//! Lists, page by page, and the audit log.

use serde_json::{Value, json};

use crate::scene::{KEYS, Scene};

/// The identifiers of a list, page by page.
async fn pages(scene: &Scene, limit: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let page = scene.get(&format!("{KEYS}?limit={limit}{next}")).await.json();
        let ids = page["data"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned());
        pages.push(ids.collect());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return pages,
        }
        assert!(pages.len() < 20, "a list without end");
    }
}

#[tokio::test]
async fn every_key_is_on_one_page() {
    for stored in 0..5 {
        let scene = Scene::new();
        let mut expected: Vec<String> = (0..stored).map(|number| format!("id-{number}")).collect();
        for id in expected.iter().rev() {
            scene.create(&format!(r#"{{"id": "{id}", "name": "n"}}"#)).await;
        }
        expected.extend(["another".to_owned(), "from the file".to_owned()]);
        for limit in 1..=8 {
            let pages = pages(&scene, limit).await;
            assert_eq!(pages.concat(), expected, "{stored} stored, {limit} a page");
            assert!(pages.iter().all(|page| page.len() <= limit));
            assert!(pages.iter().all(|page| !page.is_empty()));
        }
    }
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended_whatever_happens_meanwhile() {
    let scene = Scene::new();
    for id in ["a", "b", "d"] {
        scene.create(&format!(r#"{{"id": "{id}", "name": "n"}}"#)).await;
    }
    let first = scene.get(&format!("{KEYS}?limit=2")).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(scene.call("DELETE", &format!("{KEYS}/b"), "").await.status.as_u16(), 204);
    scene.create(r#"{"id": "c", "name": "n"}"#).await;
    let second = scene.get(&format!("{KEYS}?cursor={cursor}")).await.json();
    let ids: Vec<_> = second["data"].as_array().unwrap().iter().map(|key| &key["id"]).collect();
    assert_eq!(ids, ["c", "d", "another", "from the file"]);
}

#[tokio::test]
async fn bad_pages_are_refused() {
    let scene = Scene::new();
    for (path, param) in [
        (format!("{KEYS}?limit=0"), Some("limit")),
        (format!("{KEYS}?limit=1001"), Some("limit")),
        (format!("{KEYS}?cursor=nonsense"), Some("cursor")),
        ("/admin/v1/audit?before=x".to_owned(), Some("before")),
        ("/admin/v1/audit?cursor=1".to_owned(), None),
    ] {
        let (status, _, found) = scene.get(&path).await.error();
        assert_eq!((status, found.as_deref()), (400, param), "{path}");
    }
}

#[tokio::test]
async fn every_write_is_noted_without_secrets() {
    let scene = Scene::new();
    let key = "sk-supplied-by-admin";
    let made = scene.create(&format!(r#"{{"id": "a", "key": "{key}", "name": "a"}}"#)).await;
    scene.call("PATCH", "/admin/v1/master-keys/a", r#"{"name": "b"}"#).await;
    let rotated = scene.call("POST", "/admin/v1/master-keys/a/rotate", r#"{"overlap_secs": 5}"#).await.json();
    scene.call("DELETE", "/admin/v1/master-keys/a", "").await;
    scene.call("PATCH", "/admin/v1/master-keys/a", r#"{"name": "c"}"#).await;
    let log = scene.get("/admin/v1/audit").await;
    let entries = log.json()["data"].as_array().unwrap().clone();
    let actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["master_key.delete", "master_key.rotate", "master_key.update", "master_key.create"]);
    assert!(entries.iter().all(|entry| entry["actor"] == "admin" && entry["object"] == "a"));
    assert_eq!(entries[3]["before"], Value::Null);
    assert_eq!(entries[3]["after"]["key_preview"], made["key_preview"]);
    assert_eq!((&entries[2]["before"]["name"], &entries[2]["after"]["name"]), (&json!("a"), &json!("b")));
    assert_eq!((&entries[0]["before"]["name"], &entries[0]["after"]), (&json!("b"), &Value::Null));
    assert_eq!(entries[3]["at"], "2030-01-01T00:00:00.123456Z");
    for secret in [key, rotated["key"].as_str().unwrap(), "digest"] {
        assert!(!log.text.contains(secret), "{}", log.text);
    }
}

#[tokio::test]
async fn the_audit_log_is_read_page_by_page() {
    let scene = Scene::new();
    for number in 1..=5 {
        scene.create(&format!(r#"{{"id": "{number}", "name": "n"}}"#)).await;
    }
    let mut seen = Vec::new();
    let mut path = "/admin/v1/audit?limit=2".to_owned();
    for _ in 0..3 {
        let page = scene.get(&path).await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|entry| entry["object"].as_str().unwrap().to_owned()));
        let Some(before) = page["next_before"].as_i64() else { break };
        path = format!("/admin/v1/audit?limit=2&before={before}");
    }
    assert_eq!(seen, ["5", "4", "3", "2", "1"]);
}
