//! The official OpenAI SDK for Python against the built gateway: `tests/sdk`, run by pytest.
//!
//! Whatever other tests say of bytes, this one says that applications work. It needs a Python with the packages of
//! `tests/sdk/requirements.txt`, which `.ci/run` prepares and names in `GATEWAY_TEST_PYTHON`. Without them it says what
//! is missing and passes, unless `GATEWAY_TEST_REQUIRE_ALL` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use gateway_testing::GatewayProcess;

const KEY: &str = "sk-sdk-tests-everything";
const LIMITED_KEY: &str = "sk-sdk-tests-limited-one";

fn config() -> String {
    format!(
        "
provider_suffix: Proxy
providers:
  - name: simulator
    type: simulator
    model_mapping:
      gpt-4o: sim?as=vendor-4o
      unsteady: sim?status=503
      'sim*': '*'
master_keys:
  - {{ name: everything, key: {KEY} }}
  - {{ name: limited, key: {LIMITED_KEY}, allowed_models: [gpt-4o] }}
"
    )
}

#[expect(clippy::disallowed_methods, reason = "this is how CI and a person talk to a test")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A command of the Python to use, which ignores what the environment says of OpenAI and of proxies.
fn python() -> Command {
    let mut python = Command::new(variable("GATEWAY_TEST_PYTHON").unwrap_or_else(|| "python3".to_owned()));
    for name in ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "PYTEST_ADDOPTS"] {
        python.env_remove(name);
    }
    python.env("NO_PROXY", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// What this machine lacks, if it lacks something.
fn missing() -> Option<String> {
    match python().args(["-c", "import openai, pytest"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            Some(words.lines().last().unwrap_or("python3 does not run").to_owned())
        }
        Err(error) => Some(format!("python3 does not run: {error}")),
    }
}

#[test]
fn the_official_sdk_works() {
    if let Some(missing) = missing() {
        assert!(
            variable("GATEWAY_TEST_REQUIRE_ALL").is_none(),
            "{missing}; install tests/sdk/requirements.txt and name the python in GATEWAY_TEST_PYTHON"
        );
        // `eprintln!` would show only if the test failed.
        writeln!(io::stderr(), "the SDK suite is skipped, because of tests/sdk/requirements.txt: {missing}").unwrap();
        return;
    }
    let gateway = GatewayProcess::start(&config());
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let run = python()
        .args(["-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "-q", "--durations=5"])
        .arg(suite)
        .envs([
            ("GATEWAY_BASE_URL", gateway.url("/v1").as_str()),
            ("GATEWAY_KEY", KEY),
            ("GATEWAY_LIMITED_KEY", LIMITED_KEY),
        ])
        .output()
        .unwrap();
    let (words, log) = (String::from_utf8_lossy(&run.stdout), gateway.log_lines().join("\n"));
    assert!(run.status.success(), "the gateway's log:\n{log}\n{}{words}", String::from_utf8_lossy(&run.stderr));
    println!("{words}");
}
