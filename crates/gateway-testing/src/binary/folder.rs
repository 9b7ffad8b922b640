//! A place to run in, which outlives every process that runs there.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;

use super::{PATIENCE, command};

/// A temporary folder, removed with its last clone.
#[derive(Debug, Clone)]
pub struct Folder(Arc<TempDir>);

/// What a finished run of the binary left behind.
#[derive(Debug)]
pub struct Run {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Folder {
    /// An empty folder. Panics if there is none to be had.
    pub fn empty() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"))))
    }

    /// A folder with a `config.yaml`.
    pub fn with_config(config: &str) -> Self {
        let folder = Self::empty();
        folder.write("config.yaml", config);
        folder
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file in it. Panics if it cannot.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The files in it, in order. Panics if they cannot be read.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).unwrap_or_else(|error| panic!("the folder is gone: {error}"));
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        paths.sort();
        paths
    }

    /// Runs the binary here to its end. Panics if it cannot be run or does not end.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        self.run_with_input(arguments, environment, "")
    }

    /// The same with something to read on standard input.
    pub fn run_with_input(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Run {
        let mut command = command(self.path());
        command.args(arguments).envs(environment.iter().copied());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("the server cannot be run: {error}"));
        if let Some(mut pipe) = child.stdin.take() {
            // Who does not read it ends without it.
            let _ = pipe.write_all(input.as_bytes());
        }
        let (stdout, stderr) = (text(child.stdout.take()), text(child.stderr.take()));
        let (stdout, stderr) = match (stdout.recv_timeout(PATIENCE), stderr.recv_timeout(PATIENCE)) {
            (Ok(stdout), Ok(stderr)) => (stdout, stderr),
            (stdout, stderr) => {
                // It may have ended just now, and then there is nothing to kill.
                let _ = child.kill();
                let _ = child.wait();
                panic!("{arguments:?} does not end: {stdout:?} {stderr:?}");
            }
        };
        let status = child.wait().unwrap_or_else(|error| panic!("the server is lost: {error}"));
        Run { code: status.code(), stdout, stderr }
    }
}

/// All that is written to a pipe, once it is closed.
fn text(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut pipe) = pipe {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read until it broke is all there is.
            let _ = pipe.read_to_end(&mut bytes);
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        });
    }
    receiver
}
