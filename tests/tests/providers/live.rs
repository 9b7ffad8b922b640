//! A change is live on this node when the call that makes it returns.

use gateway_tests::clock::now;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::site::{bad, good};
use serde_json::json;

use crate::scene::{Scene, body, one, one_model, received, upstream};

const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_very_next_call_uses_it() {
    for scene in Scene::each().await {
        let other = upstream().await;
        let (mut slowest, began) = (std::time::Duration::ZERO, now());
        for round in 0..ROUNDS {
            assert_eq!(scene.verdict("m").await, bad(404, "model_not_found"));
            scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
            scene.received("m").await;

            let key = format!("sk-round-{round}-4d1b7c90e35f28a6");
            let changing = now();
            scene.admin().put(&one("made"), &json!({ "api_key": key })).await;
            slowest = slowest.max(changing.elapsed());
            assert_eq!(scene.received("m").await.header("authorization"), Some(&*format!("Bearer {key}")));

            scene.admin().put(&one("made"), &json!({ "api_base": other.api_base() })).await;
            let request = received(&scene.node, &other, "m").await;
            assert_eq!(request.header("authorization"), Some(&*format!("Bearer {key}")));

            scene.admin().put(&one("made"), &json!({ "model_mapping": { "m": format!("m-{round}") } })).await;
            assert_eq!(body(&received(&scene.node, &other, "m").await)["model"], format!("m-{round}"));

            scene.admin().put(&one("made"), &json!({ "is_enabled": false })).await;
            assert_eq!(scene.verdict("m").await, bad(404, "model_not_found"));
            scene.admin().put(&one("made"), &json!({ "is_enabled": true })).await;
            assert_eq!(scene.verdict("m").await, good());

            scene
                .admin()
                .post(MODELS, &json!({ "id": "named", "targets": [{ "provider": "made", "model": "a" }] }))
                .await;
            assert_eq!(body(&received(&scene.node, &other, "named").await)["model"], "a");
            let targets = json!([{ "provider": "made", "model": "b" }]);
            scene.admin().put(&one_model("named"), &json!({ "targets": targets })).await;
            assert_eq!(body(&received(&scene.node, &other, "named").await)["model"], "b");
            scene.admin().delete(&one_model("named")).await;
            scene.admin().delete(&one("made")).await;
        }
        let each = began.elapsed() / u32::try_from(ROUNDS).unwrap();
        println!("{}: {each:?} for 9 changes and 11 calls, one change within {slowest:?}", scene.database.name());
    }
}

/// Three calls of four go where the weight is three.
#[tokio::test(flavor = "multi_thread")]
async fn weights_are_heeded_at_once() {
    const CALLS: usize = 40;
    for scene in Scene::each().await {
        let other = upstream().await;
        scene.admin().post(PROVIDERS, &scene.provider("one", "m")).await;
        scene.admin().post(PROVIDERS, &crate::scene::provider(&other, "other", "m")).await;
        for (one_weight, other_weight, expected) in [(3, 1, 30), (1, 3, 10), (1, 1, 20)] {
            scene.admin().put(&one("one"), &json!({ "weight": one_weight })).await;
            scene.admin().put(&one("other"), &json!({ "weight": other_weight })).await;
            let before = scene.site.upstream.requests().len();
            for _ in 0..CALLS {
                assert_eq!(scene.verdict("m").await, good());
            }
            let share = scene.site.upstream.requests().len() - before;
            // A turn may have begun before.
            assert!(share.abs_diff(expected) <= 1, "{one_weight}:{other_weight}: {share} of {CALLS}");
        }
    }
}
