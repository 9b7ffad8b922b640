//! Gateways with a store: where they run, what they run on, and who calls them.

use bytes::Bytes;
use gateway_testing::{Answer, Client, FakeUpstream, Folder, GatewayProcess, Run, Script, client};
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::administrator::{ADMIN_KEY, Administrator};
use crate::stage::{CALL, CALLER_KEY, CHAT, with_header};

/// One provider for a few models; no keys but those of the store. Nothing is tried twice.
pub const STORED: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: gpt-4o-2024, o3: o3-2025 } }
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
"#;

/// A key in the file besides, which presents [`CALLER_KEY`].
pub const FILED: &str = "master_keys: [ { name: filed, key: \"${CALLER_KEY}\" } ]\n";

/// A folder with a configuration, in which gateways and commands run, and the upstream that they know.
#[derive(Debug)]
pub struct Site {
    /// `${UPSTREAM}`, which answers with an empty object where it has no script.
    pub upstream: FakeUpstream,
    /// The folder.
    pub folder: Folder,
    environment: Vec<(String, String)>,
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub process: GatewayProcess,
}

impl Site {
    /// A place for gateways on [`STORED`], with the Admin API and the default store.
    pub async fn new() -> Self {
        Self::of(STORED).await
    }

    /// The same with another configuration, which may hold `${UPSTREAM}` and `${CALLER_KEY}`.
    pub async fn of(config: &str) -> Self {
        Self::in_folder(Folder::with_config(config)).await
    }

    /// The same without a configuration file.
    pub async fn without_file() -> Self {
        Self::in_folder(Folder::empty()).await
    }

    async fn in_folder(folder: Folder) -> Self {
        let upstream = FakeUpstream::start([]).await.expect("a free port");
        upstream.otherwise(|_| Script::json(200, "{}"));
        let api_base = upstream.api_base();
        let site = Self { upstream, folder, environment: Vec::new() };
        site.with("UPSTREAM", &api_base)
            .with("CALLER_KEY", CALLER_KEY)
            .with("ADMIN_KEY", ADMIN_KEY)
            .with("HOST", "127.0.0.1")
            .with("PORT", "0")
    }

    /// With this variable in the environment of all that is started from now on.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// The same; nothing takes the variable away.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(present, _)| present != name);
        if !value.is_empty() {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Another folder with the same configuration, environment and upstream, as on another machine.
    pub fn start_elsewhere(&self) -> Node {
        let config = std::fs::read_to_string(self.folder.path().join("config.yaml"));
        let folder = config.map_or_else(|_| Folder::empty(), |config| Folder::with_config(&config));
        Node { process: GatewayProcess::start_in(&folder, &self.environment()) }
    }

    /// Starts a gateway. Panics, with its own words, if it does not come up.
    pub fn start(&self) -> Node {
        Node { process: GatewayProcess::start_in(&self.folder, &self.environment()) }
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.folder.run(arguments, &self.environment())
    }

    /// The same with something to read on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        self.folder.run_with_input(arguments, &self.environment(), input)
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl Node {
    /// Its administrator, who comes in where callers do.
    pub fn admin(&self) -> Administrator {
        Administrator(self.process.address())
    }

    /// Sends a request over a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        Client::connect(self.process.address()).await.send(request).await
    }

    /// Makes the smallest call with a key.
    pub async fn call(&self, key: &str) -> Answer {
        self.send(calling(key, CALL)).await
    }

    /// Makes a call with a key.
    pub async fn call_with(&self, key: &str, body: impl Into<Bytes>) -> Answer {
        self.send(calling(key, body)).await
    }

    /// What becomes of the smallest call with a key: its status, and the code of the error if it is one.
    pub async fn verdict(&self, key: &str) -> (u16, String) {
        verdict(&self.call(key).await)
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> (u16, Value) {
        let answer = client::get(self.process.address(), "/readyz").await;
        (answer.status.as_u16(), answer.json())
    }
}

/// A call with a key.
pub fn calling(key: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    with_header(client::request("POST", CHAT, body), "authorization", &format!("Bearer {key}"))
}

/// An answer's status, and the code of its error; empty if it is none.
pub fn verdict(answer: &Answer) -> (u16, String) {
    let code = if answer.status.is_success() { String::new() } else { answer.error_code() };
    (answer.status.as_u16(), code)
}

/// The verdict on a call that is let through.
pub fn good() -> (u16, String) {
    (200, String::new())
}

/// The verdict on one that is not.
pub fn bad(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
