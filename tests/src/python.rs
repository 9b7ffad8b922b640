//! A Python with the packages that a suite needs, which `.ci/run` prepares and names in `GATEWAY_TEST_PYTHON`.
//!
//! Without them a suite says what is missing and passes, unless `GATEWAY_TEST_REQUIRE_ALL` is set.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a suite needs, and where its Python files are.
#[derive(Debug, Clone, Copy)]
pub struct Python {
    /// The folder in `tests` with the files and their `requirements.txt`.
    pub folder: &'static str,
    /// What is imported of the packages in it.
    pub modules: &'static str,
}

impl Python {
    /// Where the files are.
    pub fn folder(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder)
    }

    /// A command of the Python to use, which ignores what the environment says of proxies and leaves no files behind.
    pub fn command(self) -> Command {
        let mut python = Command::new(variable("GATEWAY_TEST_PYTHON").unwrap_or_else(|| "python3".to_owned()));
        python.env("NO_PROXY", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1");
        python
    }

    /// Whether the packages are there. If they are not, says so in one line, and panics where they are required.
    pub fn is_there(self) -> bool {
        let Some(missing) = self.missing() else { return true };
        let requirements = format!("tests/{}/requirements.txt", self.folder);
        assert!(
            variable("GATEWAY_TEST_REQUIRE_ALL").is_none(),
            "{missing}; install {requirements} and name the python in GATEWAY_TEST_PYTHON"
        );
        // `eprintln!` would show only if the test failed.
        writeln!(io::stderr(), "skipped because of {requirements}: {missing}").expect("standard error");
        false
    }

    /// What this machine lacks, if it lacks something.
    fn missing(self) -> Option<String> {
        match self.command().args(["-c", &format!("import {}", self.modules)]).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stderr);
                Some(words.lines().last().unwrap_or("python3 does not run").to_owned())
            }
            Err(error) => Some(format!("python3 does not run: {error}")),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is how CI and a person talk to a test")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
