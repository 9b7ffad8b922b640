//! Python with the packages of `tests/openapi/requirements.txt`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[expect(clippy::disallowed_methods, reason = "this is how CI and a person talk to a test")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the Python files are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi")
}

fn python() -> Command {
    let mut python = Command::new(variable("GATEWAY_TEST_PYTHON").unwrap_or_else(|| "python3".to_owned()));
    python.env("NO_PROXY", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", folder());
    python
}

/// Whether the packages are there. If they are not, says so in one line, and panics where they are required.
pub(crate) fn is_there() -> bool {
    let missing = match python().args(["-c", "import openapi_spec_validator, schemathesis"]).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            words.lines().last().unwrap_or("python3 does not run").to_owned()
        }
        Err(error) => format!("python3 does not run: {error}"),
    };
    assert!(
        variable("GATEWAY_TEST_REQUIRE_ALL").is_none(),
        "{missing}; install tests/openapi/requirements.txt and name the python in GATEWAY_TEST_PYTHON"
    );
    // `eprintln!` would show only if the test failed.
    writeln!(io::stderr(), "skipped because of tests/openapi/requirements.txt: {missing}").expect("standard error");
    false
}

/// Runs one of the Python files with something to read.
pub(crate) fn run(file: &str, input: &[u8]) -> Output {
    let mut child = python()
        .arg(folder().join(file))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// A command of schemathesis with the hooks of the folder, which does not leave files where it is started.
pub(crate) fn schemathesis(directory: &Path, upstream: &str) -> Command {
    let mut command = python();
    command
        .args(["-m", "schemathesis.cli", "run", "--no-color"])
        .current_dir(directory)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("SCHEMATHESIS_UPSTREAM", upstream);
    command
}
