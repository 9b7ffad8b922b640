//! Names that nobody may serve for now, though others would take them.

use gateway_config::Config;
use gateway_testing::Script;

use super::config;
use super::named::ask;
use super::scene::Scene;

const FILE: &str = "
auth: none
providers:
  - { name: main, api_base: 'MAIN', model_mapping: { '*': '*' } }
  - { name: spare, api_base: 'SPARE', model_mapping: { exact: exact } }
models:
  listed: { targets: [ { provider: spare } ] }
  falling: { targets: [ { provider: spare } ], fallback_models: [ exact ] }
";

/// What becomes of calls to each of these models.
async fn asked(scene: &Scene) -> [u16; 4] {
    let mut statuses = [0; 4];
    for (status, model) in statuses.iter_mut().zip(["listed", "falling", "exact", "whatever"]) {
        for upstream in [&scene.main, &scene.spare] {
            upstream.otherwise(|_| Script::json(200, "{}"));
        }
        *status = ask(scene, model).await;
    }
    statuses
}

#[tokio::test]
async fn a_model_that_is_withheld_is_served_by_its_fallbacks_or_by_nobody() {
    let scene = Scene::of(FILE).await;
    assert_eq!(asked(&scene).await, [200; 4]);
    let withheld_models = ["falling", "listed", "unknown"].map(str::to_owned).to_vec();
    scene.gateway.reconfigure(Config { withheld_models, ..config(&scene, FILE) }.into()).unwrap();
    assert_eq!(asked(&scene).await, [503, 200, 200, 200]);
    assert_eq!(ask(&scene, "unknown").await, 503);
    scene.gateway.reconfigure(config(&scene, FILE).into()).unwrap();
    assert_eq!(asked(&scene).await, [200; 4]);
}

/// The name might be that of a model whose targets are in the store, and say who may see its prompts.
#[tokio::test]
async fn before_the_store_is_read_only_names_of_the_file_are_served() {
    let scene = Scene::of(FILE).await;
    scene.gateway.reconfigure(Config { awaits_store: true, ..config(&scene, FILE) }.into()).unwrap();
    assert_eq!(asked(&scene).await, [200, 200, 200, 503]);
    assert_eq!(scene.main.requests().len(), 0);
}
