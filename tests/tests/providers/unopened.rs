//! Providers whose secrets cannot be opened any more, because the key that sealed them is lost, get others by the API.

use gateway_tests::database::Database;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::site::{Site, bad, good, verdict};
use serde_json::json;

use crate::scene::{FILE, KEY, Scene, left_out, one};

const LOST_KEY: &str = "b5a1f2c3d4e5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";
const NEW_KEY: &str = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
const NEW_CREDENTIAL: &str = "sk-renewed-7c0a55d1e2f34b68";

fn restarted(scene: Scene) -> Scene {
    let Scene { site, node, database } = scene;
    node.process.stop();
    Scene { node: site.start(), site, database }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_key_is_lost_gets_new_secrets_and_keeps_the_rest() {
    for database in Database::each() {
        let site = Site::of(FILE).await.with("DB_URL", &database.url()).with("STORE_ENCRYPTION_KEY", LOST_KEY);
        let node = site.start();
        let mut scene = Scene { site, node, database };
        let mut fields = scene.provider("made", "m");
        (fields["weight"], fields["headers"]) = (json!(7), json!({ "x-team": "hush-hush" }));
        scene.admin().post(PROVIDERS, &fields).await;
        let model = json!({ "id": "named", "targets": [{ "provider": "made", "model": "m" }] });
        scene.admin().post(MODELS, &model).await;
        assert_eq!(scene.verdict("named").await, good());

        scene.site.set("STORE_ENCRYPTION_KEY", NEW_KEY);
        let scene = restarted(scene);
        let all = left_out(&scene.node).await;
        assert!(all.iter().any(|(name, problem)| name == "provider made" && problem.contains("secrets")), "{all:?}");
        assert_eq!(scene.verdict("named").await, bad(503, "no_healthy_target"));
        let shown = scene.admin().get(&one("made")).await;
        assert_eq!(shown["settings"]["weight"], 7, "{shown}");

        let refused = scene.admin().send("PUT", &one("made"), r#"{"weight":5}"#).await;
        assert_eq!(verdict(&refused), bad(409, "unreadable"), "{}", refused.text());
        assert!(refused.text().contains("Send `api_key`"), "{}", refused.text());
        let mended = scene.admin().put(&one("made"), &json!({ "api_key": NEW_CREDENTIAL })).await;
        assert_eq!((&mended["weight"], &mended["headers"]), (&json!(7), &json!({})));
        assert!(left_out(&scene.node).await.is_empty());
        let request = scene.received("named").await;
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {NEW_CREDENTIAL}")));
        assert_eq!(request.header("x-team"), None);
        let audit = scene.admin().audit().await;
        assert_eq!(audit[0]["action"], "provider.update");
        for secret in [KEY, NEW_CREDENTIAL, "hush-hush"] {
            assert!(audit.iter().all(|entry| !entry.to_string().contains(secret)), "{audit:?}");
        }

        // It is sealed with the key of now.
        assert_eq!(restarted(scene).verdict("named").await, good());
    }
}
