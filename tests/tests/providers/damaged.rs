//! Rows that somebody has written by hand and that make no sense: left out, told of, and in nobody's way.

use gateway_tests::database::Database;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::patience::until;
use gateway_tests::site::{bad, good, verdict};
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, call, detailed, left_out, one};

/// Rows of `providers`, each as SQL for the settings and the secrets, and words of the reason for which it is left out.
const PROVIDER_ROWS: [(&str, &str, &str, &str); 17] = [
    ("no-json", "'this is no JSON: {'", "NULL", "not a JSON object"),
    ("empty", "''", "NULL", "not a JSON object"),
    ("null", "'null'", "NULL", "not a JSON object"),
    ("list", "'[1, 2]'", "NULL", "not a JSON object"),
    ("half", "'{\"api_base\":\"http://127.0.0.1:9/v1\"'", "NULL", "not a JSON object"),
    ("bad-mapping", "'{\"api_base\":\"http://127.0.0.1:9/v1\",\"model_mapping\":7}'", "NULL", "model_mapping"),
    ("unknown-field", "'{\"api_base\":\"http://127.0.0.1:9/v1\",\"wieght\":2}'", "NULL", "did you mean `weight`?"),
    ("wrong-weight", "'{\"api_base\":\"http://127.0.0.1:9/v1\",\"weight\":\"much\"}'", "NULL", "weight"),
    ("bad-url", "'{\"api_base\":\"hppt//somewhere\"}'", "NULL", "api_base"),
    ("unknown-type", "'{\"type\":\"opnai\",\"api_base\":\"http://127.0.0.1:9/v1\"}'", "NULL", "did you mean `openai`?"),
    ("filed", "'{\"api_base\":\"http://127.0.0.1:9/v1\"}'", "NULL", "config.yaml"),
    ("a/b", "'{\"api_base\":\"http://127.0.0.1:9/v1\"}'", "NULL", "name"),
    ("secret-list", "'{\"api_base\":\"http://127.0.0.1:9/v1\"}'", "'[\"SECRET\"]'", "not a JSON object"),
    ("secret-text", "'{\"api_base\":\"http://127.0.0.1:9/v1\"}'", "'SECRET'", "not a JSON object"),
    ("secret-number", "'{\"api_base\":\"http://127.0.0.1:9/v1\"}'", "'{\"api_key\":[\"SECRET\"]}'", "api_key"),
    ("bad-header", "'{\"api_base\":\"http://127.0.0.1:9/v1\"}'", "'{\"headers\":{\"a b\":\"SECRET\"}}'", "headers"),
    (
        "bomb",
        "'{a: &a [x,x,x,x,x,x,x,x,x], b: &b [*a,*a,*a,*a,*a,*a,*a,*a], c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b], d: [*c,*c,*c,*c,*c,*c,*c,*c,*c]}'",
        "NULL",
        "",
    ),
];

const MODEL_ROWS: [(&str, &str, &str); 4] = [
    ("no-json", "'{{{'", "not a JSON object"),
    ("nobody", "'{\"targets\":[{\"provider\":\"stedy\"}]}'", "did you mean `steady`?"),
    ("filed-model", "'{\"targets\":[{\"provider\":\"steady\"}]}'", "config.yaml"),
    ("wrong", "'{\"targets\":[{\"provider\":\"steady\"}],\"balance\":7}'", "balance"),
];

async fn served_scene(database: Database) -> Scene {
    let scene = Scene::on(database).await;
    scene.admin().post(PROVIDERS, &scene.provider("steady", "m")).await;
    scene
}

/// Waits until an entry is left out for a reason with these words.
async fn until_left_out(scene: &Scene, entry: &str, words: &str) {
    let is_left_out = async || {
        let all = left_out(&scene.node).await;
        all.iter().any(|(name, problem)| name == entry && problem.contains(words)).then_some(())
    };
    until(&format!("{}: {entry} to be left out because of {words:?}", scene.database.name()), is_left_out).await;
}

async fn until_nothing_is_left_out(scene: &Scene) {
    let is_well = async || {
        let health = detailed(&scene.node).await;
        (health["config"]["left_out"] == json!([])).then(|| assert_eq!(health["status"], "ok", "{health}"))
    };
    until("nothing to be left out", is_well).await;
}

/// The problem of an entry as the Admin API lists it.
async fn listed_problem(scene: &Scene, list: &str, id: &str) -> String {
    let entries = scene.admin().entries(list).await;
    let entry = entries.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("no {id} in {entries:?}"));
    entry["problem"].as_str().unwrap_or_else(|| panic!("no problem in {entry}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_make_no_sense_are_left_out_one_by_one() {
    for database in Database::each() {
        let scene = served_scene(database).await;
        for (name, settings, secrets, words) in PROVIDER_ROWS {
            let insert =
                format!("INSERT INTO providers (name, settings, secrets) VALUES ('{name}', {settings}, {secrets})");
            scene.database.execute(&insert).await;
            until_left_out(&scene, &format!("provider {name}"), words).await;
            let problem = listed_problem(&scene, PROVIDERS, name).await;
            assert!(problem.contains(words) && !problem.contains("SECRET"), "{name}: {problem}");
            assert_eq!((scene.verdict("m").await, scene.verdict("filed-1").await), (good(), good()), "{name}");
        }
        for (name, settings, words) in MODEL_ROWS {
            scene.database.execute(&format!("INSERT INTO models (name, settings) VALUES ('{name}', {settings})")).await;
            until_left_out(&scene, &format!("model {name}"), words).await;
            assert!(listed_problem(&scene, MODELS, name).await.contains(words), "{name}");
            assert_eq!((scene.verdict("m").await, scene.verdict("filed-model").await), (good(), good()), "{name}");
        }
        assert_eq!(detailed(&scene.node).await["status"], "degraded");
        assert_eq!(scene.node.readiness().await.0, 200);
        // A node that starts now serves the rest, too, and so do changes.
        let fresh = scene.site.start_elsewhere();
        assert_eq!(left_out(&fresh).await.len(), PROVIDER_ROWS.len() + MODEL_ROWS.len());
        assert_eq!(verdict(&call(&fresh, "m").await), good());
        scene.admin().post(PROVIDERS, &scene.provider("more", "more")).await;
        scene.received("more").await;

        for (name, ..) in PROVIDER_ROWS.iter().filter(|(name, ..)| *name != "filed") {
            scene.admin().delete(&one(&name.replace('/', "%2F"))).await;
        }
        for (name, ..) in MODEL_ROWS.iter().filter(|(name, ..)| *name != "filed-model") {
            scene.admin().delete(&format!("{MODELS}/{name}")).await;
        }
        scene.database.execute("DELETE FROM providers WHERE name = 'filed'").await;
        scene.database.execute("DELETE FROM models WHERE name = 'filed-model'").await;
        until_nothing_is_left_out(&scene).await;
        let log = scene.node.process.stop().join("\n");
        assert!(!log.contains("SECRET"), "{log}");
        for (name, ..) in PROVIDER_ROWS {
            assert!(log.contains(&format!("\"{name}\"")) && log.contains("is left out"), "{name}: {log}");
        }
    }
}

/// Larger than any that would be believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_two_mebibytes_is_left_out() {
    for database in Database::each() {
        let scene = served_scene(database).await;
        let blanks = match scene.database {
            Database::Sqlite(_) => "printf('%2097152s', '')",
            Database::Postgres(_) => "repeat(' ', 2097152)",
        };
        let settings = format!("'{{\"api_base\":\"http://127.0.0.1:9/v1\"}}' || {blanks}");
        scene.database.execute(&format!("INSERT INTO providers (name, settings) VALUES ('large', {settings})")).await;
        until_left_out(&scene, "provider large", "1 MiB").await;
        scene
            .database
            .execute(&format!("UPDATE providers SET settings = '{{}}', secrets = {blanks} WHERE name = 'large'"))
            .await;
        until_left_out(&scene, "provider large", "secrets").await;
        scene.admin().delete(&one("large")).await;
        scene.admin().put(&one("steady"), &scene.provider("steady", "m")).await;
        until_nothing_is_left_out(&scene).await;
        assert_eq!(scene.verdict("m").await, good());
    }
}

/// What rests on a row that is left out is there, and says so when it is called.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_damaged_takes_nobody_with_it() {
    for database in Database::each() {
        let scene = served_scene(database).await;
        scene.admin().post(PROVIDERS, &scene.provider("victim", "v")).await;
        let targets = json!([{ "provider": "victim", "model": "v" }, { "provider": "steady", "model": "m" }]);
        scene.admin().post(MODELS, &json!({ "id": "both", "targets": targets })).await;
        let only = json!([{ "provider": "victim", "model": "v" }]);
        scene.admin().post(MODELS, &json!({ "id": "only", "targets": only })).await;
        scene.database.execute("UPDATE providers SET settings = 'broken {' WHERE name = 'victim'").await;
        until_left_out(&scene, "provider victim", "not a JSON object").await;
        for _ in 0..4 {
            assert_eq!(scene.verdict("both").await, good(), "the other target serves it");
        }
        let answer = scene.verdict("only").await;
        assert!(matches!(answer.0, 404 | 503), "{answer:?}");
        assert_eq!(scene.verdict("v").await, bad(404, "model_not_found"));
        let shown = scene.admin().get(&one("victim")).await;
        assert!(shown["created_at"].is_string() && shown["problem"].is_string(), "{shown}");
        assert!(!shown.to_string().contains(KEY), "{shown}");
        assert_eq!(shown["settings"]["api_key_preview"].as_str().map(str::len).map(|it| it > 0), Some(true), "{shown}");
        let noted: Vec<Value> = scene.admin().audit().await;
        assert!(!json!(noted).to_string().contains(KEY));
    }
}
