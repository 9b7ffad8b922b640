//! The binary with arguments of the test's choice, in a folder of its own.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

use gateway_testing::binary;
use tempfile::TempDir;

/// An empty folder to run in.
pub(crate) struct Folder(TempDir);

/// What a finished run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run that goes on. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    output: BufReader<Box<dyn Read>>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn with(name: &str, content: &str) -> Self {
        let folder = Self::new();
        fs::write(folder.0.path().join(name), content).unwrap();
        folder
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let output = self.command(arguments, environment).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts, and leaves it running. Its log is not read, so it has to be short.
    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut command = self.command(arguments, environment);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        Running { child, output: BufReader::new(Box::new(output)) }
    }

    /// The same with a standard output that nobody reads; the log is read in its place.
    pub(crate) fn start_unheard(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut command = self.command(arguments, environment);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.stderr.take().unwrap();
        Running { child, output: BufReader::new(Box::new(output)) }
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = binary::command(self.0.path());
        command.args(arguments).envs(environment.iter().copied());
        command
    }
}

impl Running {
    /// Its output up to a line that holds `marker`; to its end if there is none.
    pub(crate) fn read_until(&mut self, marker: &str) -> String {
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.contains(marker)) {
            if self.output.read_line(&mut text).unwrap() == 0 {
                break;
            }
        }
        text
    }

    /// The address in the first URL that it prints.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let text = self.read_until("://");
        let (_, url) = text.split_once("://").unwrap_or_else(|| panic!("no URL in {text:?}"));
        let end = url.find(|sign: char| !sign.is_ascii_digit() && !".:".contains(sign)).unwrap_or(url.len());
        url[..end].parse().unwrap_or_else(|error| panic!("{error} in {text:?}"))
    }

    /// What the system says of the process under a name, as in `proc_pid_status(5)`. None if the system does not know the name.
    pub(crate) fn status(&self, name: &str) -> Option<String> {
        let all = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let found = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map(|value| value.trim().to_owned())
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
