//! What a change to a provider leaves alone: the streams that run through it, and everything about the others.

use gateway_testing::{Gate, Script};
use gateway_tests::entries::PROVIDERS;
use gateway_tests::site::calling;
use gateway_tests::stage::CALLER_KEY;
use gateway_tests::stream::{DONE, Events, finish, text};
use serde_json::json;

use crate::scene::{Scene, detailed, one, provider, received, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_while_its_provider_changes_and_ends() {
    for scene in Scene::each().await {
        let other = upstream().await;
        scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
        let gates = [Gate::new(), Gate::new(), Gate::new()];
        let script = gates
            .iter()
            .enumerate()
            .fold(Script::event_stream(), |script, (number, gate)| script.event(&text(&number.to_string())).wait(gate));
        scene.site.upstream.push(script.event(&finish()).event("[DONE]").end_chunks());
        let request = calling(CALLER_KEY, r#"{"model":"m","stream":true}"#);
        let mut events = Events::of(scene.node.process.address(), request).await;
        let mut seen = vec![events.next().await.unwrap()];

        scene
            .admin()
            .put(&one("made"), &json!({ "api_base": other.api_base(), "api_key": "sk-another-7c21f0be5d" }))
            .await;
        gates[0].open();
        seen.push(events.next().await.unwrap());
        received(&scene.node, &other, "m").await;
        scene.database.execute("UPDATE providers SET settings = '{\"enabled\":false}' WHERE name = 'made'").await;
        gates[1].open();
        seen.push(events.next().await.unwrap());
        scene.admin().delete(&one("made")).await;
        assert_eq!(scene.verdict("m").await.0, 404);
        gates[2].open();
        seen.extend(events.rest().await);
        assert_eq!(seen.pop().as_deref(), Some(DONE));
        let contents: Vec<_> = seen.iter().map(|event| content(event)).collect();
        assert_eq!(contents, [json!("0"), json!("1"), json!("2"), json!(null)], "{}", scene.database.name());
    }
}

fn content(event: &str) -> serde_json::Value {
    let payload: serde_json::Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    payload["choices"][0]["delta"]["content"].clone()
}

/// Breakers, and the connections that are kept open for the next call.
#[tokio::test(flavor = "multi_thread")]
async fn the_others_are_as_they_were() {
    const FILE: &str = "master_keys: [ { name: team, key: \"${CALLER_KEY}\" } ]\nretry: { max_retries: 0 }\n\
                        server: { workers: 1 }\ncircuit_breaker: { consecutive_failures: 2, open: 300s }\n";
    for database in gateway_tests::database::Database::each() {
        let site = gateway_tests::site::Site::of(FILE).await.with("DB_URL", &database.url());
        let node = site.start();
        let (weak, steady) = (upstream().await, upstream().await);
        weak.otherwise(|_| Script::json(500, "{}"));
        for (upstream, id) in [(&weak, "weak"), (&steady, "steady"), (&site.upstream, "changing")] {
            node.admin().post(PROVIDERS, &provider(upstream, id, id)).await;
        }
        for _ in 0..2 {
            assert_eq!(crate::scene::call(&node, "weak").await.status, 502);
        }
        received(&node, &steady, "steady").await;
        for weight in 2..8 {
            node.admin().put(&one("changing"), &json!({ "weight": weight })).await;
            received(&node, &site.upstream, "changing").await;
            received(&node, &steady, "steady").await;
            assert_eq!(breaker(&node, "weak").await, "open");
        }
        assert_eq!((steady.connections(), weak.requests().len()), (1, 2), "{}", database.name());
        // Taken away and made again, a provider is a new one.
        node.admin().delete(&one("weak")).await;
        node.admin().post(PROVIDERS, &provider(&weak, "weak", "weak")).await;
        assert_eq!(breaker(&node, "weak").await, "closed");
    }
}

/// The state of the breaker of a provider's one target.
async fn breaker(node: &gateway_tests::site::Node, provider: &str) -> String {
    let health = detailed(node).await;
    let providers = health["providers"].as_array().unwrap();
    let provider = providers.iter().find(|it| it["name"] == provider).unwrap();
    provider["targets"][0]["breaker"].as_str().unwrap().to_owned()
}
