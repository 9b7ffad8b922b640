//! Providers and models come to who is told of them, from the store and from the last good state.

use std::fs;
use std::sync::Arc;

use gateway_keystore::{SettingsChange, SettingsKind, SettingsRecord, SettingsRepository, StoredSettings};
use gateway_secret::Secret;
use gateway_store::{Backend, LoadedFrom, Vault};
use gateway_testing::store_conformance::{Subject, plain_provider, plain_settings, write_settings};
use tokio::time::timeout;

use crate::file::File;
use crate::follower::{PATIENCE, Scene};

fn names(settings: Option<StoredSettings>) -> Vec<String> {
    let settings = settings.unwrap();
    settings.records.iter().map(|record| format!("{} {}", record.kind, record.name)).collect()
}

fn insert(record: SettingsRecord) -> SettingsChange {
    SettingsChange::Insert(record)
}

fn secret(name: &str) -> SettingsRecord {
    SettingsRecord { secrets: Some(Secret::from(r#"{"api_key":"sk-geheim"}"#)), ..plain_provider(name) }
}

#[tokio::test]
async fn a_change_has_been_told_when_it_is_visible() {
    let scene = Scene::new().await;
    let backend = scene.file.backend();
    write_settings(&*backend, insert(plain_provider("first"))).await;
    let follower = scene.follow().await;
    assert_eq!(names(scene.shelf.latest()), ["provider first"]);
    let version = write_settings(&*backend, insert(plain_settings(SettingsKind::Model, "second"))).await;
    assert!(follower.wait_until_visible(version).await);
    assert_eq!(names(scene.shelf.latest()), ["provider first", "model second"]);
    let told = scene.shelf.told();
    let version = scene.insert("key").await;
    assert!(follower.wait_until_visible(version).await);
    assert_eq!(scene.shelf.told(), told, "a key is no setting");
    let name = "first".into();
    let removed = SettingsChange::Remove { kind: SettingsKind::Provider, name };
    let version = write_settings(&*backend, removed).await;
    assert!(follower.wait_until_visible(version).await);
    assert_eq!(names(scene.shelf.latest()), ["model second"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_left_out_and_told() {
    let scene = Scene::new().await;
    let backend = scene.file.backend();
    write_settings(&*backend, insert(plain_provider("good"))).await;
    let follower = scene.follow().await;
    let before = follower.status().position.version;
    let rows = "BEGIN;
        INSERT INTO providers (name, settings) VALUES ('blob', x'00ff');
        INSERT INTO providers (name, settings) VALUES ('no UTF-8', CAST(x'ff' AS TEXT));
        INSERT INTO providers (name, settings) VALUES (x'0102', '{}');
        INSERT INTO providers (name, settings) VALUES (CAST(x'61ff' AS TEXT), '{}');
        INSERT INTO providers (name, settings, secrets) VALUES ('sealed', '{}', 'sealed:v1:AAAA');
        INSERT INTO providers (name, settings, revision) VALUES ('revision', '{}', 'many');
        INSERT INTO models (name, settings) VALUES ('fine', '{}');
        COMMIT";
    scene.file.execute(rows).await;
    timeout(PATIENCE, follower.until(|status| status.position.version > before)).await.unwrap();
    let settings = scene.shelf.latest().unwrap();
    assert_eq!(names(Some(settings.clone())), ["provider good", "model fine"]);
    let unreadable: Vec<_> = settings.unreadable.iter().map(|row| (row.name.as_str(), row.problem.as_str())).collect();
    for (name, column) in [
        ("blob", "settings"),
        ("no UTF-8", "settings"),
        ("x'0102'", "name"),
        ("x'61ff'", "name"),
        ("sealed", "secrets"),
        ("revision", "revision"),
    ] {
        assert!(
            unreadable.iter().any(|(found, problem)| *found == name && problem.starts_with(column)),
            "{name}: {unreadable:?}"
        );
    }
    let is_plain = |problem: &str| !problem.contains("Rust") && !problem.contains("::");
    assert!(unreadable.iter().all(|(_, problem)| is_plain(problem)), "{unreadable:?}");
    assert!(unreadable.contains(&("blob", "settings: is not text")), "{unreadable:?}");
    assert!(unreadable.contains(&("revision", "revision: is not a whole number")), "{unreadable:?}");
    assert!(unreadable.contains(&("x'61ff'", "name: is not text")), "{unreadable:?}");
    assert_eq!(unreadable.len(), 6);
    assert!(follower.status().is_reachable);

    // They are still there, and unreadable, at a start without the store.
    drop(follower);
    let scene = scene.restart();
    scene.backend.go_away();
    let _follower = scene.follow().await;
    let after = scene.shelf.latest().unwrap();
    assert_eq!(names(Some(after.clone())), ["provider good", "model fine"]);
    let mut expected = settings.unreadable;
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(after.unreadable, expected);
}

/// A scene in which secrets are sealed by keys of these bytes.
fn sealed(file: File, keys: &[&str]) -> Scene {
    let ring: Vec<_> = keys.iter().map(|byte| byte.repeat(32)).collect();
    let vault = (!keys.is_empty()).then(|| Arc::new(Vault::new(&Secret::from(ring.join(","))).unwrap()));
    let backend: Arc<dyn Backend> = Arc::new(file.again().sealed_with(vault));
    Scene::of(file, backend)
}

#[tokio::test]
async fn without_the_store_the_last_good_state_stands_in_and_is_sealed_like_it() {
    let scene = sealed(File::with_tables().await, &["11"]);
    write_settings(&*scene.backend, insert(secret("first"))).await;
    let follower = scene.follow().await;
    let version = write_settings(&*scene.backend, insert(secret("second"))).await;
    assert!(follower.wait_until_visible(version).await);
    follower.stop().await;
    let snapshot = scene.file.folder.path().join("snapshot");
    let text = fs::read_to_string(&snapshot).unwrap();
    assert!(!text.contains("geheim") && text.contains("sealed:v1:"), "{text}");

    let mut file = scene.file;
    let stand_in = async |file: File, keys: &[&str]| {
        let scene = sealed(file, keys);
        scene.backend.go_away();
        let follower = scene.follow().await;
        assert_eq!(follower.status().loaded_from, LoadedFrom::Snapshot);
        follower.stop().await;
        (scene.shelf.latest().unwrap(), scene.file)
    };
    for keys in [&["11"][..], &["22", "11"]] {
        let found;
        (found, file) = stand_in(file, keys).await;
        assert_eq!(names(Some(found.clone())), ["provider first", "provider second"]);
        let secrets = |record: &SettingsRecord| record.secrets.as_ref().unwrap().expose().to_owned();
        assert!(found.records.iter().all(|record| secrets(record) == secrets(&secret("any"))));
    }
    for keys in [&[][..], &["22"]] {
        let found;
        (found, file) = stand_in(file, keys).await;
        assert!(found.records.is_empty() && found.unreadable.len() == 2, "{found:?}");
        assert!(found.unreadable[0].problem.contains("STORE_ENCRYPTION_KEY"), "{found:?}");
    }
}

/// So that a key can be replaced by another, and what is in clear sealed, without a change to what is stored.
#[tokio::test]
async fn what_is_written_again_as_it_is_is_sealed_by_the_first_key() {
    const SECRETS: &str = "SELECT secrets FROM providers";
    let find = async |scene: &Scene| scene.backend.find(SettingsKind::Provider, "first").await.unwrap().unwrap();
    let mut scene = Scene::new().await;
    write_settings(&*scene.backend, insert(secret("first"))).await;
    assert!(scene.file.text(SECRETS).await.contains("geheim"));
    for keys in [&["11"][..], &["22", "11"], &["33", "22"]] {
        scene = sealed(scene.file, keys);
        let before = (find(&scene).await, scene.file.text(SECRETS).await);
        write_settings(&*scene.backend, SettingsChange::Replace(before.0.clone())).await;
        let written = scene.file.text(SECRETS).await;
        assert!(written.starts_with("sealed:v1:") && written != before.1, "{keys:?}");
        // The first key is enough from now on.
        scene = sealed(scene.file, &keys[..1]);
        let after = find(&scene).await;
        assert_eq!((after.settings, after.secrets), (before.0.settings, before.0.secrets), "{keys:?}");
    }
}

#[tokio::test]
async fn a_last_good_state_in_clear_is_sealed_once_there_is_a_key() {
    let scene = Scene::new().await;
    write_settings(&*scene.backend, insert(secret("first"))).await;
    scene.follow().await.stop().await;
    let snapshot = scene.file.folder.path().join("snapshot");
    assert!(fs::read_to_string(&snapshot).unwrap().contains("geheim"));
    let scene = sealed(scene.file, &["11"]);
    scene.follow().await.stop().await;
    assert!(!fs::read_to_string(&snapshot).unwrap().contains("geheim"));
}
