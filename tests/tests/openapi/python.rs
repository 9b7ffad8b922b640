//! Python with the packages of `tests/openapi/requirements.txt`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use gateway_tests::python::Python;
use serde_json::{Value, json};

const PYTHON: Python = Python { folder: "openapi", modules: "openapi_spec_validator, schemathesis" };

/// Whether the packages are there.
pub(crate) fn is_there() -> bool {
    PYTHON.is_there()
}

fn python() -> Command {
    let mut python = PYTHON.command();
    python.env("PYTHONPATH", PYTHON.folder());
    python
}

/// Runs one of the Python files with something to read.
pub(crate) fn run(file: &str, input: &[u8]) -> Output {
    let mut child = python()
        .arg(PYTHON.folder().join(file))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Panics if one of these answers is not as the document says. Each has its `schema` and `what` it answers.
pub(crate) fn assert_conform(document: &Value, answers: &[Value]) {
    if is_there() {
        let run = run("conforms.py", json!({ "document": document, "answers": answers }).to_string().as_bytes());
        let (said, complained) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{said}{complained}");
    }
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
