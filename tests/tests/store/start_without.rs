//! A gateway that starts while its store is away.

use gateway_testing::client;
use gateway_tests::administrator::KEYS;
use gateway_tests::database::Database;
use gateway_tests::patience::until;
use gateway_tests::site::{FILED, STORED, Site, bad, good, verdict};
use gateway_tests::stage::CALLER_KEY;
use serde_json::json;

use crate::outage::until_store_is;
use crate::remote::Remote;

const STATE: &str = "server: { state_dir: . }\n";
const SNAPSHOT: &str = "keys.last-good";

#[tokio::test(flavor = "multi_thread")]
async fn with_the_last_good_state_it_serves_the_keys_of_that() {
    let Some(mut remote) = Remote::start().await else { return };
    let site = Site::of(&[STORED, FILED, STATE].concat()).await.with("DB_URL", &remote.url);
    let node = site.start();
    let fields =
        json!({ "id": "team", "name": "team", "allowed_models": ["gpt-4o"], "rate_limit": { "max_concurrent": 9 } });
    let made = node.admin().create(fields).await;
    let newer = node.admin().rotate("team", 600).await;
    let off = node.admin().create(json!({ "id": "off", "name": "off", "is_enabled": false })).await;
    let path = site.folder.path().join(SNAPSHOT);
    let is_written = async || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\"off\"")).then_some(());
    until("the last good state to be written", is_written).await;
    node.process.stop();
    remote.stop();

    let node = site.start();
    let line = node.process.log_line(|line| line.contains("stand in for the store"));
    assert!(line.contains("WARN"), "{line}");
    let (status, told) = node.readiness().await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["store"], "unreachable, serving the keys of the last good snapshot");
    for key in [&*made.key, &newer.key, CALLER_KEY] {
        assert_eq!(node.verdict(key).await, good());
    }
    assert_eq!(verdict(&node.call_with(&made.key, r#"{"model":"o3"}"#).await), bad(403, "model_not_allowed"));
    assert_eq!(node.verdict(&off.key).await, bad(401, "disabled_api_key"));
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(503, "store_unavailable"));
    let answer = node.admin().send("POST", KEYS, r#"{"name":"x"}"#).await;
    assert_eq!(verdict(&answer), bad(503, "store_unavailable"));

    remote.start_again();
    until_store_is(&node, "reachable").await;
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(401, "invalid_api_key"));
    node.admin().remove("team").await;
    assert_eq!(node.verdict(&newer.key).await, bad(401, "invalid_api_key"));
    // A key that has ended is not in the next state either.
    let is_forgotten =
        async || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("{\"removed\":\"team\"}")).then_some(());
    until("the last good state to follow", is_forgotten).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_it_waits_and_serves_the_keys_of_its_file() {
    let Some(mut remote) = Remote::start().await else { return };
    let site = Site::of(&[STORED, FILED].concat()).await.with("DB_URL", &remote.url);
    let made = site.start().admin().create(json!({ "name": "team" })).await;
    remote.stop();

    let node = site.start();
    let waiting = json!({ "status": "waiting for the store", "store": "unreachable, no keys known" });
    assert_eq!(node.readiness().await, (503, waiting));
    let answer = node.call(&made.key).await;
    assert_eq!((verdict(&answer), answer.header("retry-after")), (bad(503, "store_unavailable"), "1"));
    assert_eq!(node.verdict(CALLER_KEY).await, good());
    assert_eq!(client::get(node.process.address(), "/health").await.status, 200);
    assert_eq!(client::get(node.process.address(), "/livez").await.status, 200);
    let answer = node.admin().send("GET", KEYS, "").await;
    assert_eq!(verdict(&answer), bad(503, "store_unavailable"));

    remote.start_again();
    until_store_is(&node, "reachable").await;
    assert_eq!(node.readiness().await, (200, json!({ "status": "ready", "store": "reachable" })));
    assert_eq!((node.verdict(&made.key).await, node.verdict(CALLER_KEY).await), (good(), good()));
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(401, "invalid_api_key"));
}

/// A store that was never seen makes its tables once it is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_that_comes_late_is_made_ready() {
    let Some(mut remote) = Remote::start().await else { return };
    let site = Site::of(&[STORED, STATE].concat()).await.with("DB_URL", &remote.url);
    remote.stop();
    let (one, other) = (site.start(), site.start_elsewhere());
    assert_eq!((one.readiness().await.0, other.readiness().await.0), (503, 503));
    remote.start_again();
    until_store_is(&one, "reachable").await;
    until_store_is(&other, "reachable").await;
    let made = one.admin().create(json!({ "name": "x" })).await;
    assert_eq!(one.verdict(&made.key).await, good());
    until("the key on the other node", async || (other.verdict(&made.key).await == good()).then_some(())).await;
}

/// A last good state that is not whole is none, and is told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_last_good_state_is_not_believed() {
    let Some(mut remote) = Remote::start().await else { return };
    let site = Site::of(&[STORED, STATE].concat()).await.with("DB_URL", &remote.url);
    let node = site.start();
    let keys = [
        node.admin().create(json!({ "id": "k0", "name": "x" })).await,
        node.admin().create(json!({ "id": "k1", "name": "x" })).await,
    ];
    let path = site.folder.path().join(SNAPSHOT);
    node.process.stop();
    // A start that finds none writes all of it at once, so that no line may be missing.
    std::fs::remove_file(&path).unwrap();
    site.start().process.stop();
    let state = std::fs::read_to_string(&path).unwrap();
    let is_written = async || std::fs::read_to_string(&path).ok().filter(|text| text.contains("\"k1\""));
    remote.stop();
    let last_line = state.trim_end().rfind('\n').unwrap();
    for damaged in [
        String::new(),
        "no JSON".to_owned(),
        state[..last_line].to_owned(),
        state[..state.len() / 2].to_owned(),
        state.replace("\"k1\"", "\"k1"),
        state.replace("\"format\":3", "\"format\":4"),
        state.replace("\"is_enabled\":true", "\"is_enabled\":null"),
        state.replace("[\"*\"]", "[\"o\"]"),
        state.clone() + "{}\n",
    ] {
        site.folder.write(SNAPSHOT, &damaged);
        let node = site.start();
        let line = node.process.log_line(|line| line.contains("the last good state cannot be read"));
        assert!(line.contains("ERROR") && line.contains(SNAPSHOT), "{line}");
        assert_eq!(node.readiness().await.0, 503, "{damaged}");
        for key in &keys {
            assert_eq!(node.verdict(&key.key).await, bad(503, "store_unavailable"), "{damaged}");
        }
        node.process.stop();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "what could not be read is left for who can");
    }
    let node = site.start();
    remote.start_again();
    until_store_is(&node, "reachable").await;
    assert_eq!(node.verdict(&keys[0].key).await, good());
    until("the last good state to be written", is_written).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_is_made_and_may_go_away() {
    for database in Database::each() {
        let config = [STORED, "server: { state_dir: state/of/keys }\n"].concat();
        let site = Site::of(&config).await.with("DB_URL", &database.url());
        let node = site.start();
        let made = node.admin().create(json!({ "id": "team", "name": "first" })).await;
        let folder = site.folder.path().join("state/of/keys");
        let holds = |name: &'static str| {
            let path = folder.join(SNAPSHOT);
            async move || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(name)).then_some(())
        };
        until("the last good state to be written", holds("first")).await;
        std::fs::remove_dir_all(&folder).unwrap();
        node.admin().change("team", json!({ "name": "second" })).await;
        let line = node.process.log_line(|line| line.contains("the last good state cannot be written"));
        assert!(line.contains("ERROR") && line.contains("state/of/keys"), "{}: {line}", database.name());
        // That holds up nothing, and ends by itself.
        assert_eq!((node.verdict(&made.key).await, node.readiness().await.0), (good(), 200), "{}", database.name());
        std::fs::create_dir(&folder).unwrap();
        until("the last good state to be written", holds("second")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_made_is_told_of_at_once() {
    for database in Database::each() {
        let config = [STORED, "server: { state_dir: config.yaml/state }\n"].concat();
        let site = Site::of(&config).await.with("DB_URL", &database.url());
        let run = site.run(&["serve"]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{}: {run:?}", database.name());
        assert!(run.stderr.contains("server.state_dir"), "{}: {run:?}", database.name());
    }
}

/// Whoever does not answer at all is as good as away, also while the gateway starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_database_does_not_hold_up_the_start() {
    let Some(remote) = Remote::start().await else { return };
    let site = Site::of(&[STORED, FILED, STATE].concat()).await.with("DB_URL", &remote.url);
    remote.fall_silent();
    let node = site.start();
    assert_eq!((node.readiness().await.0, node.verdict(CALLER_KEY).await), (503, good()));
    remote.speak_again();
    until_store_is(&node, "reachable").await;
    let made = node.admin().create(json!({ "name": "x" })).await;
    let path = site.folder.path().join(SNAPSHOT);
    let is_written = async || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(&made.id)).then_some(());
    until("the last good state to be written", is_written).await;
    node.process.stop();
    remote.fall_silent();
    let node = site.start();
    assert_eq!((node.readiness().await.0, node.verdict(&made.key).await), (200, good()));
    // Nor the end.
    node.process.stop();
}
