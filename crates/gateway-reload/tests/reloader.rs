//! What comes into force, what does not, and what is said of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use gateway_config::{Config, ConfigError, ConfigErrors, LeftOutReason, Sources};
use gateway_core::Gateway;
use gateway_keystore::{SettingsChange, SettingsKind, SettingsRecord, StoredSettings, UnreadableSettings};
use gateway_reload::{Cause, Host, NoHost, Reloader};
use jiff::Timestamp;
use tempfile::TempDir;

const FILE: &str =
    "providers: [ { name: main, api_base: 'http://127.0.0.1:1/v1', model_mapping: [gpt-4o] } ]\nauth: none\n";

struct Scene {
    folder: TempDir,
    reloader: Reloader,
}

impl Scene {
    fn on(text: &str, host: Arc<dyn Host>) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("config.yaml"), text).unwrap();
        let sources = Sources { path: None, environment: HashMap::new(), working_directory: folder.path().to_owned() };
        let vocabulary = Gateway::builder().vocabulary();
        let reloader = Reloader::new(sources, vocabulary, host).unwrap();
        Self { folder, reloader }
    }

    async fn started(text: &str, stored: StoredSettings) -> (Self, Gateway) {
        let scene = Self::on(text, Arc::new(NoHost));
        scene.reloader.take_stored(stored);
        let gateway = scene.reloader.start(Gateway::builder()).await.unwrap();
        (scene, gateway)
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("config.yaml"), text).unwrap();
    }
}

fn provider(name: &str, settings: &str) -> SettingsRecord {
    record(SettingsKind::Provider, name, settings)
}

fn record(kind: SettingsKind, name: &str, settings: &str) -> SettingsRecord {
    SettingsRecord {
        kind,
        name: name.into(),
        settings: settings.to_owned(),
        secrets: None,
        revision: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn stored(records: impl IntoIterator<Item = SettingsRecord>) -> StoredSettings {
    StoredSettings { records: records.into_iter().collect(), unreadable: Vec::new() }
}

fn names(gateway: &Gateway) -> Vec<String> {
    gateway.config().providers.iter().map(|provider| provider.name.clone()).collect()
}

const GOOD: &str = r#"{"api_base":"http://127.0.0.1:2/v1","model_mapping":["o3"]}"#;

#[tokio::test]
async fn a_file_and_a_store_make_one_configuration() {
    let (scene, gateway) = Scene::started(FILE, stored([provider("more", GOOD)])).await;
    assert_eq!(names(&gateway), ["main", "more"]);
    let status = scene.reloader.status();
    assert_eq!((status.version, status.source), (1, "file and store"));
    assert!(status.last_error.is_none() && status.left_out.is_empty());

    scene.reloader.take_stored(stored([provider("more", GOOD), provider("most", GOOD)]));
    assert_eq!(names(&gateway), ["main", "more", "most"]);
    scene.reloader.take_stored(stored([]));
    assert_eq!(names(&gateway), ["main"]);
    assert_eq!((scene.reloader.status().version, scene.reloader.status().source), (3, "file"));
}

#[tokio::test]
async fn what_says_the_same_is_no_new_version() {
    let (scene, gateway) = Scene::started(FILE, StoredSettings::default()).await;
    let before = gateway.config();
    scene.write(&format!("# a comment\n{FILE}"));
    let reloaded = scene.reloader.reload(Cause::Request).await.unwrap();
    assert!(reloaded.difference.is_empty());
    assert_eq!((reloaded.version, gateway.version()), (1, 1));
    assert!(Arc::ptr_eq(&before, &gateway.config()));
}

#[tokio::test]
async fn a_bad_file_leaves_the_last_good_one_for_changes_of_the_store_too() {
    let (scene, gateway) = Scene::started(FILE, StoredSettings::default()).await;
    scene.write(&FILE.replace("auth: none", "auth: perhaps"));
    let errors = scene.reloader.reload(Cause::File).await.unwrap_err();
    assert_eq!(errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["auth"]);
    assert!(scene.reloader.status().last_error.is_some());
    scene.reloader.take_stored(stored([provider("more", GOOD)]));
    assert_eq!(names(&gateway), ["main", "more"]);
    fs::remove_file(scene.folder.path().join("config.yaml")).unwrap();
    let gone = scene.reloader.reload(Cause::Signal).await.unwrap_err();
    assert!(gone.to_string().contains("does not exist"), "{gone}");
    assert_eq!(names(&gateway), ["main", "more"]);
    scene.write(FILE);
    scene.reloader.reload(Cause::File).await.unwrap();
    assert!(scene.reloader.status().last_error.is_none());
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_left_out_and_the_rest_is_served() {
    let mut rows = stored([
        provider("bad", r#"{"api_base":"not a URL","wieght":2}"#),
        provider("good", GOOD),
        provider("main", GOOD),
    ]);
    let problem = "sealed with another key".to_owned();
    rows.unreadable = vec![UnreadableSettings { kind: SettingsKind::Provider, name: "sealed".to_owned(), problem }];
    let (scene, gateway) = Scene::started(FILE, rows).await;
    assert_eq!(names(&gateway), ["main", "good"]);
    let left_out = scene.reloader.status().left_out;
    let said: Vec<_> = left_out.iter().map(|it| (it.name.as_str(), &it.reason)).collect();
    assert!(matches!(said[0], ("bad", LeftOutReason::Invalid(errors)) if errors.iter().count() == 2), "{said:?}");
    assert!(
        matches!(said[1], ("main", LeftOutReason::NameClash { with }) if with.contains("config.yaml:1")),
        "{said:?}"
    );
    assert!(matches!(said[2], ("sealed", LeftOutReason::Unreadable(_))), "{said:?}");
}

#[tokio::test]
async fn a_file_that_takes_a_name_of_the_store_is_refused() {
    let (scene, gateway) = Scene::started(FILE, stored([provider("more", GOOD)])).await;
    scene.write(&FILE.replace("{ name: main", "{ name: more, model_mapping: [x] }, { name: main"));
    let errors = scene.reloader.reload(Cause::File).await.unwrap_err().to_string();
    assert!(errors.contains("provider `more` of the store") && errors.contains("config.yaml:1"), "{errors}");
    assert_eq!(names(&gateway), ["main", "more"]);
}

#[tokio::test]
async fn a_reference_to_the_store_holds_while_the_store_is_unread_and_fails_when_what_it_names_is_gone() {
    let text = format!("{FILE}models: {{ chat: {{ targets: [ {{ provider: more, model: o3 }} ] }} }}\n");
    let scene = Scene::on(&text, Arc::new(NoHost));
    assert!(!scene.reloader.without_store().unwrap().warnings.is_empty());
    let gateway = scene.reloader.start(Gateway::builder()).await.unwrap();
    scene.reloader.take_stored(stored([provider("more", GOOD)]));
    assert_eq!(names(&gateway), ["main", "more"]);
    let remove = SettingsChange::Remove { kind: SettingsKind::Provider, name: "more".into() };
    let errors = scene.reloader.check(remove).await.unwrap_err();
    assert_eq!(errors.iter().next().unwrap().path, "models.chat.targets[0].provider");
    // Whoever takes it away by hand takes away the model with it, and nothing else: not even at a start.
    scene.reloader.take_stored(stored([]));
    assert_eq!(names(&gateway), ["main"]);
    assert!(scene.reloader.status().last_error.is_none());
    let again = Scene::on(&text, Arc::new(NoHost));
    again.reloader.take_stored(stored([]));
    assert_eq!(names(&again.reloader.start(Gateway::builder()).await.unwrap()), ["main"]);
    // Who edits the file is there to mend it.
    scene.write(&format!("{text}# edited\n"));
    let errors = scene.reloader.reload(Cause::File).await.unwrap_err();
    assert_eq!(errors.iter().next().unwrap().path, "models.chat.targets[0].provider");
}

#[tokio::test]
async fn a_change_is_checked_as_a_whole_and_nothing_comes_of_it() {
    let (scene, gateway) = Scene::started(FILE, stored([provider("more", GOOD)])).await;
    let errors = async |change| match scene.reloader.check(change).await {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.path.clone()).collect::<Vec<_>>(),
    };
    assert_eq!(errors(SettingsChange::Insert(provider("new", GOOD))).await, [""; 0]);
    let bad = provider("new", r#"{"api_base":"http://127.0.0.1:2/v1","weight":0,"timeouts":{"connect":"soon"}}"#);
    assert_eq!(errors(SettingsChange::Insert(bad)).await, ["weight", "timeouts.connect"]);
    assert_eq!(errors(SettingsChange::Insert(provider("main", GOOD))).await, [""]);
    let model = record(SettingsKind::Model, "chat", r#"{"targets":[{"provider":"more","model":"o3"}]}"#);
    assert_eq!(errors(SettingsChange::Insert(model.clone())).await, [""; 0]);
    scene.reloader.take_stored(stored([provider("more", GOOD), model]));
    let version = gateway.version();
    // The model of the store would be out of service without its provider.
    let remove = SettingsChange::Remove { kind: SettingsKind::Provider, name: "more".into() };
    assert_eq!(errors(remove).await, ["targets[0].provider"]);
    assert_eq!(gateway.version(), version);
}

/// A process that serves two providers at most.
struct Small;

impl Host for Small {
    fn prepare(&self, config: &mut Config) -> Result<(), ConfigErrors> {
        if config.providers.len() < 3 { Ok(()) } else { Err(ConfigError::of_key("providers", "too many").into()) }
    }

    fn adopt(&self, config: &Config) -> Result<(), ConfigErrors> {
        assert!(config.providers.len() < 3);
        Ok(())
    }
}

#[tokio::test]
async fn a_process_may_refuse_what_it_cannot_serve() {
    let scene = Scene::on(FILE, Arc::new(Small));
    scene.reloader.take_stored(StoredSettings::default());
    let gateway = scene.reloader.start(Gateway::builder()).await.unwrap();
    scene.reloader.take_stored(stored([provider("a", GOOD), provider("b", GOOD)]));
    assert_eq!(names(&gateway), ["main"]);
    assert!(scene.reloader.status().last_error.unwrap().to_string().contains("too many"));
}

#[tokio::test]
async fn what_is_wrong_with_the_file_is_told_until_the_file_is_mended() {
    let (scene, _gateway) = Scene::started(FILE, StoredSettings::default()).await;
    scene.write(&FILE.replace("auth: none", "auth: perhaps"));
    scene.reloader.reload(Cause::File).await.unwrap_err();
    scene.reloader.take_stored(stored([provider("more", GOOD)]));
    assert!(scene.reloader.status().last_error.unwrap().to_string().contains("auth"));
    scene.write(FILE);
    scene.reloader.reload(Cause::File).await.unwrap();
    assert!(scene.reloader.status().last_error.is_none());
    assert_eq!(scene.reloader.status().source, "file and store");
}

#[tokio::test]
async fn what_is_left_out_already_is_in_nobodys_way() {
    let (scene, gateway) = Scene::started(FILE, stored([provider("main", GOOD)])).await;
    // The words of the clash tell of a line, which is another one now.
    scene.write(&format!("# a comment\n\n{FILE}"));
    scene.reloader.reload(Cause::File).await.unwrap();
    let dangling = record(SettingsKind::Model, "chat", r#"{"targets":[{"provider":"mian"}]}"#);
    scene.reloader.take_stored(stored([provider("main", GOOD), dangling]));
    // The words of the model suggest the new name.
    scene.reloader.check(SettingsChange::Insert(provider("mian2", GOOD))).await.unwrap();
    assert_eq!(names(&gateway), ["main"]);
}

#[tokio::test]
async fn an_entry_for_which_nothing_compiles_is_left_out_by_itself() {
    // A route has 64 targets at most.
    let crowd = (0..70).map(|number| provider(&format!("p{number:02}"), GOOD));
    let (scene, gateway) = Scene::started(FILE, stored(crowd)).await;
    let (served, left_out) = (names(&gateway).len(), scene.reloader.status().left_out.len());
    assert_eq!(served + left_out, 71, "{served} served");
    assert!(left_out > 0 && served > 60, "{served} served");
}

/// A process that panics at the third provider.
struct Fragile;

impl Host for Fragile {
    fn prepare(&self, config: &mut Config) -> Result<(), ConfigErrors> {
        assert!(config.providers.len() < 3, "a bug");
        Ok(())
    }

    fn adopt(&self, _: &Config) -> Result<(), ConfigErrors> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_is_an_error_like_any_other() {
    let scene = Scene::on(FILE, Arc::new(Fragile));
    scene.reloader.take_stored(StoredSettings::default());
    let gateway = scene.reloader.start(Gateway::builder()).await.unwrap();
    scene.reloader.take_stored(stored([provider("a", GOOD), provider("b", GOOD)]));
    assert_eq!(names(&gateway), ["main"]);
    assert!(scene.reloader.status().last_error.unwrap().to_string().contains("a bug"));
    scene.reloader.take_stored(stored([provider("a", GOOD)]));
    assert_eq!(names(&gateway), ["main", "a"]);
}
