//! A store that goes away under a running gateway, and comes back.

use gateway_testing::client;
use gateway_tests::administrator::{AUDIT, KEYS, one};
use gateway_tests::load::Load;
use gateway_tests::patience::until;
use gateway_tests::site::{FILED, Node, STORED, Site, bad, good, verdict};
use gateway_tests::stage::CALLER_KEY;
use serde_json::json;

use crate::remote::Remote;

/// Of every database of `PostgresServer`.
const PASSWORD: &str = "for-tests-only";

pub(crate) async fn until_store_is(node: &Node, state: &str) {
    let is_so = async || (node.readiness().await.1["store"] == state).then_some(());
    let ((), took) = until(state, is_so).await;
    println!("the store is {state} after {took:?}");
}

async fn assert_administrators_are_told(node: &Node) {
    for (method, path, body) in [
        ("POST", KEYS.to_owned(), r#"{"name":"x"}"#),
        ("POST", "/api/keys".to_owned(), "{}"),
        ("GET", KEYS.to_owned(), ""),
        ("GET", one("team"), ""),
        ("PATCH", one("team"), r#"{"is_enabled":false}"#),
        ("POST", one("team") + "/rotate", ""),
        ("DELETE", one("team"), ""),
        ("GET", AUDIT.to_owned(), ""),
    ] {
        let answer = node.admin().send(method, &path, body).await;
        assert_eq!(verdict(&answer), bad(503, "store_unavailable"), "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), "1", "{method} {path}");
        assert!(!answer.text().contains(PASSWORD), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_are_served_while_the_store_is_away() {
    let Some(mut remote) = Remote::start().await else { return };
    let site = Site::of(&[STORED, FILED].concat()).await.with("DB_URL", &remote.url);
    let node = site.start();
    let team = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    let limited = json!({ "name": "limited", "rate_limit": { "limit": 2, "period_seconds": 36000 } });
    let limited = node.admin().create(limited).await;
    let off = node.admin().create(json!({ "name": "off", "is_enabled": false })).await;
    assert_eq!(node.verdict(&limited.key).await, good());
    let load = Load::start(&node, &[&team.key, &team.key, CALLER_KEY]);
    for round in 0..2 {
        remote.stop();
        until_store_is(&node, "unreachable, serving the keys known").await;
        assert_eq!(node.readiness().await.0, 200);
        let unknown = node.call("sk-gw-nobody-knows").await;
        assert_eq!(verdict(&unknown), bad(503, "store_unavailable"));
        assert_eq!(unknown.header("retry-after"), "1");
        assert_administrators_are_told(&node).await;
        assert_eq!(node.verdict(&off.key).await, bad(401, "disabled_api_key"));
        // Limits go on counting where they were.
        let expected = if round == 0 { good() } else { bad(429, "rate_limit_exceeded") };
        assert_eq!(node.verdict(&limited.key).await, expected);
        assert_eq!(node.verdict(&limited.key).await, bad(429, "rate_limit_exceeded"));

        remote.start_again();
        until_store_is(&node, "reachable").await;
        assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(401, "invalid_api_key"));
        let made = node.admin().create(json!({ "id": format!("new-{round}"), "name": "new" })).await;
        assert_eq!(node.verdict(&made.key).await, good());
        node.admin().change("team", json!({ "metadata": { "round": round } })).await;
        let ids: Vec<_> = node.admin().list().await.iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 5 + round, "{ids:?}");
    }
    println!("{} calls were served", load.assert_served().await);
    let log = node.process.stop().join("\n");
    assert!(!log.contains(PASSWORD), "the log holds the password of the database");
    for words in ["keys that are known go on working", "the store can be reached again"] {
        assert_eq!(log.matches(words).count(), 2, "{words}: {log}");
    }
}

/// A line that swallows everything tells nobody, least of all a gateway that waits for an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_holds_up_nobody() {
    let Some(remote) = Remote::start().await else { return };
    let site = Site::new().await.with("DB_URL", &remote.url);
    let node = site.start();
    let made = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    let load = Load::start(&node, &[&made.key, &made.key]);
    remote.fall_silent();
    let answer = node.admin().send("PATCH", &one("team"), r#"{"is_enabled":false}"#).await;
    assert_eq!(verdict(&answer), bad(503, "store_unavailable"));
    until_store_is(&node, "unreachable, serving the keys known").await;
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(503, "store_unavailable"));
    remote.execute("UPDATE master_keys SET allowed_models = '[\"gpt-4o\"]'");
    remote.speak_again();
    until_store_is(&node, "reachable").await;
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(401, "invalid_api_key"));
    assert_eq!(verdict(&node.call_with(&made.key, r#"{"model":"o3"}"#).await), bad(403, "model_not_allowed"));
    node.admin().change("team", json!({ "metadata": { "a": 1 } })).await;
    load.assert_served().await;
    // It stops in time, also while it waits for an answer.
    remote.fall_silent();
    node.process.stop();
}

/// What changed while nobody could be told is known as soon as the store is back.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_went_unheard_are_caught_up_with() {
    let Some(mut remote) = Remote::start().await else { return };
    let site = Site::new().await.with("DB_URL", &remote.url);
    let node = site.start();
    let [kept, revoked] = ["kept", "revoked"].map(|id| json!({ "id": id, "name": id }));
    let (kept, revoked) = (node.admin().create(kept).await, node.admin().create(revoked).await);
    let load = Load::start(&node, &[&kept.key]);
    // Whoever listens is cut off, and a key is revoked in the same moment.
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'gateway-server'; \
               DELETE FROM master_keys WHERE id = 'revoked'";
    for _ in 0..3 {
        remote.execute(cut);
    }
    let is_refused = async || (node.verdict(&revoked.key).await == bad(401, "invalid_api_key")).then_some(());
    let ((), took) = until("a revocation that was not heard of", is_refused).await;
    println!("seen after {took:?}");
    until_store_is(&node, "reachable").await;
    // And it listens again: what comes now is heard of before the next look.
    let made = node.admin().create(json!({ "name": "new" })).await;
    assert_eq!(node.verdict(&made.key).await, good());

    remote.stop();
    remote.start_again();
    remote.execute("UPDATE master_keys SET is_enabled = FALSE WHERE id <> 'kept'");
    let is_refused = async || (node.verdict(&made.key).await == bad(401, "disabled_api_key")).then_some(());
    let ((), took) = until("a change of the first moment", is_refused).await;
    println!("seen after {took:?}");
    load.assert_served().await;
}

/// A database that is put back to an earlier state, or another one in its place, is believed: what it does not know is
/// not let through.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_table_revokes_everything() {
    let Some(remote) = Remote::start().await else { return };
    let site = Site::new().await.with("DB_URL", &remote.url);
    let node = site.start();
    let made = node.admin().create(json!({ "name": "x" })).await;
    remote.execute("TRUNCATE master_keys");
    let is_refused = async || (node.verdict(&made.key).await == bad(401, "invalid_api_key")).then_some(());
    until("everything to be revoked", is_refused).await;
    let made = node.admin().create(json!({ "name": "y" })).await;
    assert_eq!(node.verdict(&made.key).await, good());
    assert_eq!(client::get(node.process.address(), "/readyz").await.status, 200);
}
