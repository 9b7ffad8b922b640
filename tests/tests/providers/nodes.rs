//! Several gateways on one store: what is done on one, or by hand, holds on all within a second.

use gateway_tests::database::Database;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::promptness::Promptness;
use gateway_tests::site::{Node, Site, bad, good, verdict};
use serde_json::json;

use crate::scene::{FILE, KEY, Scene, call, one, one_model, received, upstream};

/// How often each change is made.
const ROUNDS: usize = 5;

async fn is_so(node: &Node, model: &str, expected: &(u16, String)) -> bool {
    verdict(&call(node, model).await) == *expected
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_on_one_node_holds_on_the_other_within_a_second() {
    for scene in Scene::each().await {
        let other = scene.site.start_elsewhere();
        let named = |what| Promptness::of(format!("{}: a provider {what} elsewhere", scene.database.name()));
        let [mut made, mut changed, mut removed] = ["made", "changed", "removed"].map(named);
        let mut modelled = Promptness::of(format!("{}: a model made elsewhere", scene.database.name()));
        let none = bad(404, "model_not_found");
        for round in 0..ROUNDS {
            // They take turns.
            let (here, there) = if round % 2 == 0 { (&scene.node, &other) } else { (&other, &scene.node) };
            here.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
            made.measure(async || is_so(there, "m", &good()).await).await;
            here.admin().put(&one("made"), &json!({ "model_mapping": ["n"] })).await;
            changed.measure(async || is_so(there, "n", &good()).await).await;
            assert_eq!(verdict(&call(there, "m").await), none);
            // What is changed there is not changed back here.
            there.admin().put(&one("made"), &json!({ "weight": 9 })).await;
            here.admin().post(MODELS, &json!({ "id": "named", "targets": [{ "provider": "made" }] })).await;
            modelled.measure(async || is_so(there, "named", &good()).await).await;
            for path in [one("made"), one_model("named")] {
                assert_eq!(here.admin().get(&path).await, there.admin().get(&path).await);
            }
            here.admin().delete(&one_model("named")).await;
            here.admin().delete(&one("made")).await;
            removed.measure(async || is_so(there, "n", &none).await).await;
        }
        for promptness in [made, changed, modelled, removed] {
            promptness.assert_kept();
        }
        assert_eq!(other.admin().audit().await.len(), 6 * ROUNDS);
    }
}

/// Administrators who know SQL.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_hand_holds_on_both_within_a_second() {
    for scene in Scene::each().await {
        let (elsewhere, new_home) = (scene.site.start_elsewhere(), upstream().await);
        let name = scene.database.name();
        let mut promptness = Promptness::of(format!("{name}: done by hand"));
        let none = bad(404, "model_not_found");
        let [base, new_base] = [&scene.site.upstream, &new_home].map(gateway_testing::FakeUpstream::api_base);
        let insert = format!(
            r#"INSERT INTO providers (name, settings) VALUES ('hand', '{{"api_base":"{base}","model_mapping":["m"]}}')"#
        );
        let models = "UPDATE providers SET settings = replace(settings, '[\"m\"]', '[\"m\",\"n\"]')";
        for (sql, model, expected) in [
            (&*insert, "m", good()),
            (models, "n", good()),
            (
                r#"INSERT INTO models (name, settings) VALUES ('named', '{"targets":[{"provider":"hand","model":"m"}]}')"#,
                "named",
                good(),
            ),
            ("DELETE FROM models", "named", none.clone()),
            ("UPDATE providers SET name = 'renamed'", "m", good()),
            ("DELETE FROM providers", "m", none),
        ] {
            scene.database.execute(sql).await;
            for node in [&scene.node, &elsewhere] {
                promptness.measure(async || is_so(node, model, &expected).await).await;
            }
        }
        scene.database.execute(&insert).await;
        promptness.measure(async || is_so(&scene.node, "m", &good()).await).await;
        let secrets = format!(
            r#"UPDATE providers SET settings = '{{"api_base":"{new_base}","model_mapping":["m"]}}', secrets = '{{"api_key":"{KEY}"}}'"#
        );
        scene.database.execute(&secrets).await;
        for node in [&scene.node, &elsewhere] {
            let before = new_home.requests().len();
            let is_there = async || call(node, "m").await.status == 200 && new_home.requests().len() > before;
            promptness.measure(is_there).await;
            let request = received(node, &new_home, "m").await;
            assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
        }
        promptness.assert_kept();
        // What was made by hand is changed in the ordinary way.
        let changed = elsewhere.admin().put(&one("hand"), &json!({ "weight": 4 })).await;
        assert_eq!((&changed["weight"], &changed["model_mapping"]), (&json!(4), &json!({ "m": "*" })));
        received(&elsewhere, &new_home, "m").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_on_an_empty_database_both_serve() {
    for database in Database::each() {
        let site = Site::of(FILE).await.with("DB_URL", &database.url());
        let nodes: Vec<Node> = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let starts: Vec<_> = (0..2).map(|_| scope.spawn(|| site.start_elsewhere())).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            })
        });
        assert_eq!(site.run(&["migrate", "version"]).stdout, "version 4; this program knows 4\n");
        for (number, node) in nodes.iter().enumerate() {
            assert_eq!(node.readiness().await.0, 200, "{}", database.name());
            let id = format!("made-{number}");
            node.admin().post(PROVIDERS, &crate::scene::provider(&site.upstream, &id, &id)).await;
            let mut promptness = Promptness::of(format!("{}: {id} on both", database.name()));
            for node in &nodes {
                promptness.measure(async || is_so(node, &id, &good()).await).await;
            }
            promptness.assert_kept();
        }
    }
}
