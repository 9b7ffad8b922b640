//! What makes a gateway look at its file again, and what it says then.

use std::fs;
use std::os::unix::fs::symlink;

use gateway_tests::edited::{Scene, file};
use gateway_tests::stage::CALLER_KEY;

#[tokio::test]
async fn an_edit_in_place_by_rename_and_through_links() {
    let scene = Scene::new().await;
    scene.write(file("written"));
    scene.served("written").await;
    scene.replace(file("renamed"));
    scene.served("renamed").await;
    // As Kubernetes mounts it.
    let folder = scene.site.folder.path();
    for version in ["v1", "v2"] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("config.yaml"), file(version)).unwrap();
    }
    symlink("v1", folder.join("..data")).unwrap();
    scene.link("..data/config.yaml");
    scene.served("v1").await;
    symlink("v2", folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    scene.served("v2").await;
}

#[tokio::test]
async fn a_variable_in_dotenv_that_changes() {
    let text = "providers: [ { name: main, api_base: \"${UPSTREAM}\", model_mapping: [ \"${NAME:-unnamed}\" ] } ]\n\
                master_keys: [ { name: team, key: \"${CALLER_KEY}\" } ]\n";
    let scene = Scene::on(text).await;
    assert!(scene.models().await.contains(&"unnamed".to_owned()));
    scene.site.folder.write(".env", "NAME=named\n");
    scene.served("named").await;
}

#[tokio::test]
async fn a_signal_and_a_request_look_at_once() {
    let scene = Scene::new().await;
    scene.signal("-HUP");
    scene.write(file("second"));
    scene.served("second").await;
    let answer = scene.node.admin().send("POST", "/admin/v1/config/reload", "").await;
    assert_eq!(answer.status, 200);
    let nothing = serde_json::json!([]);
    let reloaded = answer.json();
    assert_eq!((&reloaded["added"], &reloaded["removed"], &reloaded["changed"]), (&nothing, &nothing, &nothing));
    assert_eq!(reloaded["version"], scene.version().await["version"]);
}

#[tokio::test]
async fn the_answer_and_the_log_say_what_has_changed() {
    let scene = Scene::new().await;
    let key = "sk-added-2f60b4c17e49a3b5";
    let text = format!(
        "providers:\n  - {{ name: main, api_base: \"${{UPSTREAM}}\", weight: 2, model_mapping: {{ gpt-4o: gpt-4o-2024 }} }}\n  \
         - {{ name: more, api_base: \"${{UPSTREAM}}\", model_mapping: {{ o3: o3 }} }}\n\
         master_keys: [ {{ name: added, key: {key} }} ]\nserver: {{ port: 1, max_body: 1MiB }}\n"
    );
    scene.replace(text);
    scene.version_is(2).await;
    let line = scene.node.process.log_line(|line| line.contains("another configuration is in force"));
    for name in ["providers.more", "master_keys.added", "master_keys.team", "providers.main", "server.max_body"] {
        assert!(line.contains(name), "{name} in {line}");
    }
    assert!(!line.contains(key));
    assert_eq!(scene.node.call(CALLER_KEY).await.status, 401);
    assert_eq!(scene.node.call(key).await.status, 200);
    assert_eq!(scene.version().await["source"], "file");
}
