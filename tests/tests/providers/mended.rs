//! Rows that are left out, and put right by hand or by the API.

use gateway_tests::database::Database;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::patience::until;
use gateway_tests::site::{bad, good, verdict};
use serde_json::json;

use crate::scene::{KEY, Scene, left_out, one};

/// Waits for what is noted a moment after it came into force, where nobody was told by an answer that it did.
async fn until_left_out(scene: &Scene, count: usize) {
    let is_left_out = async || (left_out(&scene.node).await.len() == count).then_some(());
    until(&format!("{}: {count} rows to be left out", scene.database.name()), is_left_out).await;
}

async fn until_served(scene: &Scene, model: &str) {
    until(model, async || (scene.verdict(model).await == good()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mended_is_served() {
    for database in Database::each() {
        let scene = Scene::on(database).await;
        let base = scene.site.upstream.api_base();
        scene.database.execute("INSERT INTO providers (name, settings) VALUES ('hand', '{{'), ('api', '[[')").await;
        until_left_out(&scene, 2).await;

        let settings = format!(r#"{{"api_base":"{base}","model_mapping":["m"]}}"#);
        scene.database.execute(&format!("UPDATE providers SET settings = '{settings}' WHERE name = 'hand'")).await;
        until_served(&scene, "m").await;
        until_left_out(&scene, 1).await;

        // What would still be wrong is not stored.
        let answer = scene.admin().send("PUT", &one("api"), r#"{"provider_type":"openai","weight":0}"#).await;
        assert_eq!(verdict(&answer), bad(422, "invalid_configuration"), "{}", answer.text());
        let answer = scene.admin().send("POST", PROVIDERS, scene.provider("api", "n").to_string()).await;
        assert_eq!(verdict(&answer), bad(409, "id_taken"), "{}", answer.text());
        let mended = scene.admin().put(&one("api"), &scene.provider("api", "n")).await;
        assert_eq!((&mended["source"], &mended["problem"]), (&json!("store"), &json!(null)));
        assert_eq!((scene.verdict("n").await, left_out(&scene.node).await.len()), (good(), 0));

        // One bad field among many is mended by that field.
        scene
            .database
            .execute("UPDATE providers SET settings = replace(settings, '\"api_base\"', '\"weight\":0,\"api_base\"')")
            .await;
        until_left_out(&scene, 2).await;
        assert_eq!(scene.verdict("n").await, bad(404, "model_not_found"));
        for (id, model) in [("api", "n"), ("hand", "m")] {
            scene.admin().put(&one(id), &json!({ "weight": 5 })).await;
            assert_eq!(scene.verdict(model).await, good());
        }
        let request = scene.received("n").await;
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
        assert_eq!(left_out(&scene.node).await.len(), 0);
        for line in ["is left out", "is no longer left out"] {
            scene.node.process.log_line(|it| it.contains(line));
        }
    }
}

/// A name that the file takes puts nothing out of service, and one that the file gives up is the store's.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_and_the_store_want_one_name() {
    for database in Database::each() {
        let scene = Scene::on(database).await;
        scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
        let file = std::fs::read_to_string(scene.site.folder.path().join("config.yaml")).unwrap();
        let clash = file
            .replace("providers: [ ", "providers: [ { name: made, api_base: \"${UPSTREAM}\", model_mapping: [ x ] }, ");
        scene.site.folder.write("config.yaml", &clash);
        let answer = scene.admin().send("POST", "/admin/v1/config/reload", "").await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        for words in ["made", "config.yaml", "store"] {
            assert!(answer.text().contains(words), "no {words} in {}", answer.text());
        }
        assert_eq!((scene.verdict("m").await, scene.verdict("x").await.0), (good(), 404));

        // At the start the file has it, and both are named.
        let Scene { site, node, database } = scene;
        node.process.stop();
        let scene = Scene { node: site.start(), site, database };
        let all = left_out(&scene.node).await;
        assert!(
            matches!(&all[..], [(name, problem)] if name == "provider made" && problem.contains("config.yaml")),
            "{all:?}"
        );
        assert_eq!((scene.verdict("x").await, scene.verdict("m").await.0), (good(), 404));
        let listed = scene.admin().get(&one("made")).await;
        assert_eq!(listed["source"], "file");
        assert!(listed["problem"].as_str().is_some_and(|it| it.contains("left out")), "{listed}");
        scene.site.folder.write("config.yaml", &file);
        until_served(&scene, "m").await;
        until_left_out(&scene, 0).await;
    }
}

/// A row that the file needs, and that somebody deletes: the configuration in force stays, and it is told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_file_needs_is_deleted_by_hand() {
    for database in Database::each() {
        let scene = Scene::on(database).await;
        scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
        let file = std::fs::read_to_string(scene.site.folder.path().join("config.yaml")).unwrap();
        let resting = "models: { rests: { targets: [ { provider: made, model: m } ] }, ";
        scene.site.folder.write("config.yaml", file.replace("models: { ", resting));
        until_served(&scene, "rests").await;
        scene.database.execute("DELETE FROM providers").await;
        // What rests on it is out of service with it, and nothing else is.
        let is_gone = async || (scene.verdict("m").await.0 == 404).then_some(());
        until("the end of the row", is_gone).await;
        let version = async || scene.admin().get("/admin/v1/config/version").await;
        assert!(version().await["last_error"].is_null());
        scene.admin().post(PROVIDERS, &scene.provider("made", "n")).await;
        assert_eq!((scene.verdict("rests").await, scene.verdict("n").await), (good(), good()));
        assert!(version().await["last_error"].is_null());
    }
}

/// What is no JSON object holds nothing that a change could leave as it is, so a part of an entry does not mend it: from the defaults
/// it would become one that takes any call.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_entry_does_not_mend_what_is_lost() {
    for database in Database::each() {
        let scene = Scene::on(database).await;
        scene.admin().post(PROVIDERS, &scene.provider("region", "m")).await;
        let targets = json!([{ "provider": "region", "model": "m" }]);
        scene.admin().post(MODELS, &json!({ "id": "confined", "targets": targets })).await;
        for settings in ["{", "[]", "null", "\"x\"", ""] {
            for table in ["providers", "models"] {
                scene.database.execute(&format!("UPDATE {table} SET settings = '{settings}'")).await;
            }
            until_left_out(&scene, 2).await;
            for (entry, part) in [(one("region"), r#"{"weight":5}"#), (format!("{MODELS}/confined"), "{}")] {
                let answer = scene.admin().send("PUT", &entry, part).await;
                assert_eq!(verdict(&answer), bad(409, "unreadable"), "{settings}: {}", answer.text());
            }
        }
        let exported = scene.site.run(&["export"]);
        assert_eq!(exported.code, Some(0), "{}", exported.stderr);
        assert!(
            !exported.stdout.contains("region") && exported.stderr.contains("`region` is left out"),
            "{exported:?}"
        );
        scene.admin().put(&one("region"), &scene.provider("region", "m")).await;
        scene.admin().put(&format!("{MODELS}/confined"), &json!({ "targets": targets })).await;
        assert_eq!((scene.verdict("confined").await, left_out(&scene.node).await.len()), (good(), 0));
    }
}
