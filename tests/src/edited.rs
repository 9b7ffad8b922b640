//! A gateway whose file is edited while it runs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use gateway_testing::Client;
use serde_json::Value;

use crate::patience::until;
use crate::site::{Node, Site};
use crate::stage::authorized;

/// A file with one model of this name.
pub fn file(model: &str) -> String {
    with_model(model, "")
}

/// The same with further lines.
pub fn with_model(model: &str, more: &str) -> String {
    format!(
        "providers:\n  - {{ name: main, api_base: \"${{UPSTREAM}}\", model_mapping: {{ gpt-4o: gpt-4o-2024, {model}: {model} }} }}\n\
         master_keys: [ {{ name: team, key: \"${{CALLER_KEY}}\" }} ]\n{more}"
    )
}

/// A gateway and its file.
#[derive(Debug)]
pub struct Scene {
    /// The folder with the file, and the upstream.
    pub site: Site,
    /// The gateway.
    pub node: Node,
}

impl Scene {
    /// A gateway on [`file()`] with the model `first`.
    pub async fn new() -> Self {
        Self::on(&file("first")).await
    }

    /// The same on another text.
    pub async fn on(text: &str) -> Self {
        let site = Site::of(text).await;
        let node = site.start();
        Self { site, node }
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.site.folder.path().join("config.yaml")
    }

    /// Writes the file where it stands.
    pub fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.path(), text).unwrap();
    }

    /// Puts another file in its place.
    pub fn replace(&self, text: impl AsRef<[u8]>) {
        let beside = self.path().with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path()).unwrap();
    }

    /// Puts a link to a file of this name in its place.
    pub fn link(&self, target: &str) {
        let beside = self.path().with_extension("new");
        symlink(target, &beside).unwrap();
        fs::rename(beside, self.path()).unwrap();
    }

    /// What `GET /admin/v1/config/version` says.
    pub async fn version(&self) -> Value {
        let answer = self.node.admin().send("GET", "/admin/v1/config/version", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until this version is in force.
    pub async fn version_is(&self, version: u64) {
        let is_it = async || (self.version().await["version"] == version).then_some(());
        until(&format!("version {version}"), is_it).await;
    }

    /// The models that callers see.
    pub async fn models(&self) -> Vec<String> {
        models(self.node.process.address()).await
    }

    /// Waits until a model is served, and says how long that took.
    pub async fn served(&self, model: &str) -> Duration {
        let is_listed = async || self.models().await.iter().any(|it| it == model).then_some(());
        until(&format!("the model {model}"), is_listed).await.1
    }

    /// Waits until the last change was refused for a reason with these words, and gives the reason.
    pub async fn refused(&self, words: &str) -> String {
        let reason = async || {
            let version = self.version().await;
            version["last_error"].as_str().filter(|reason| reason.contains(words)).map(str::to_owned)
        };
        until(&format!("a refusal that says `{words}`"), reason).await.0
    }

    /// Waits until the last change is known to be in force: it is a moment before that is noted.
    pub async fn accepted(&self) {
        let is_accepted = async || self.version().await["last_error"].is_null().then_some(());
        until("the last change to be accepted", is_accepted).await;
    }

    /// The state of the breaker of a provider's one target, as `/health/detailed` has it.
    pub async fn breaker(&self, provider: &str) -> String {
        let health = self.node.admin().send("GET", "/health/detailed", "").await.json();
        let providers = health["providers"].as_array().expect("a list of providers");
        let provider = providers.iter().find(|it| it["name"] == provider).expect("the provider");
        provider["targets"][0]["breaker"].as_str().expect("a state").to_owned()
    }

    /// Sends the process a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.node.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

/// The models that the callers of a gateway see.
pub async fn models(gateway: SocketAddr) -> Vec<String> {
    let answer = Client::connect(gateway).await.send(authorized("GET", "/v1/models", "")).await.json();
    let models = answer["data"].as_array().expect("a list of models");
    models.iter().map(|model| model["id"].as_str().expect("an id").to_owned()).collect()
}
