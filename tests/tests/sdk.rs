//! The official OpenAI SDK for Python against the built gateway: `tests/sdk`, run by pytest.
//!
//! Whatever other tests say of bytes, this one says that applications work.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use gateway_testing::GatewayProcess;
use gateway_tests::python::Python;

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

const PYTHON: Python = Python { folder: "sdk", modules: "openai, pytest" };

/// A command of the Python to use, which ignores what the environment says of OpenAI.
fn python() -> Command {
    let mut python = PYTHON.command();
    for name in ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "PYTEST_ADDOPTS"] {
        python.env_remove(name);
    }
    python
}

#[test]
fn the_official_sdk_works() {
    if !PYTHON.is_there() {
        return;
    }
    let gateway = GatewayProcess::start(&config());
    let run = python()
        .args(["-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "-q", "--durations=5"])
        .arg(PYTHON.folder())
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
