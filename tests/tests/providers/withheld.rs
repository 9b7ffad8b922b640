//! A row that is damaged sends nobody's prompts to another vendor.

use gateway_tests::database::Database;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::patience::until;
use gateway_tests::site::{bad, good};
use gateway_tests::stage::authorized;
use serde_json::json;

use crate::scene::{Scene, detailed, one};

async fn until_refused(scene: &Scene, model: &str) {
    let refused = bad(503, "no_healthy_target");
    until(model, async || (scene.verdict(model).await == refused).then_some(())).await;
}

/// The names that callers are told of.
async fn listed(scene: &Scene) -> String {
    let answer = scene.node.send(authorized("GET", "/v1/models", "")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_refused_rather_than_taken_elsewhere() {
    for database in Database::each() {
        let scene = Scene::on(database).await;
        scene.admin().post(PROVIDERS, &scene.provider("region", "unused")).await;
        let mut anybody = scene.provider("anybody", "unused");
        anybody["model_mapping"] = json!(["*"]);
        scene.admin().post(PROVIDERS, &anybody).await;
        let targets = json!([{ "provider": "region", "model": "m" }]);
        scene.admin().post(MODELS, &json!({ "id": "confined", "targets": targets })).await;
        assert_eq!((scene.verdict("confined").await, scene.verdict("whatever").await), (good(), good()));

        scene.database.execute("UPDATE providers SET settings = '{' WHERE name = 'region'").await;
        until_refused(&scene, "confined").await;
        assert_eq!(scene.verdict("whatever").await, good());
        assert!(!listed(&scene).await.contains("confined"));
        assert_eq!(detailed(&scene.node).await["config"]["withheld_models"], json!(["confined"]));
        scene.admin().put(&one("region"), &scene.provider("region", "unused")).await;
        assert_eq!(scene.verdict("confined").await, good());

        scene.database.execute("UPDATE models SET settings = '{' WHERE name = 'confined'").await;
        until_refused(&scene, "confined").await;
        scene.database.execute("DELETE FROM models").await;
        // Now it is a name like any other, by the will of whoever deleted it.
        until("the name to be anybody's", async || (scene.verdict("confined").await == good()).then_some(())).await;
    }
}
