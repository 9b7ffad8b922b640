//! A Redis server of a test's own.
//!
//! It keeps nothing on disk, so one that has been stopped and started again is empty, as a Redis without persistence is in
//! production.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::binary::lines;
use crate::find_program;

/// How long the server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many ports are tried: another process may take a free one first.
const PORTS: usize = 5;

/// A throwaway `redis-server` on a free port of 127.0.0.1. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    program: PathBuf,
    directory: TempDir,
    arguments: Vec<String>,
    is_tls: bool,
    port: u16,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server and waits until it answers. None if `redis-server` is not installed, see [`find_program`].
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more arguments, such as `--requirepass`, `secret`.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        Self::start_prepared(|_| arguments.iter().map(|&argument| argument.to_owned()).collect(), false)
    }

    /// The same, behind TLS alone, with a certificate and its key in PEM form.
    pub fn start_with_tls(certificate: &str, key: &str) -> Option<Self> {
        let arguments = |directory: &Path| {
            let mut arguments = vec!["--tls-auth-clients".to_owned(), "no".to_owned()];
            for (argument, name, pem) in
                [("--tls-cert-file", "cert.pem", certificate), ("--tls-key-file", "key.pem", key)]
            {
                let path = directory.join(name);
                std::fs::write(&path, pem).unwrap_or_else(|error| panic!("`{name}` cannot be written: {error}"));
                arguments.extend([argument.to_owned(), path.display().to_string()]);
            }
            arguments
        };
        Self::start_prepared(arguments, true)
    }

    fn start_prepared(arguments: impl FnOnce(&Path) -> Vec<String>, is_tls: bool) -> Option<Self> {
        let program = find_program("redis-server", &[])?;
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let arguments = arguments(directory.path());
        let mut server = Self { program, directory, arguments, is_tls, port: 0, child: None };
        let mut words = String::new();
        for _ in 0..PORTS {
            server.port = free_port();
            match server.try_start() {
                Ok(()) => return Some(server),
                Err(said) => words = said,
            }
        }
        panic!("redis-server did not start: {words}");
    }

    /// The address to connect to, with the scheme that it speaks and without a password.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Its port, which stays the same when it is started again.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it: its clients see their connections reset, and what it held is gone.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, and then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it on the same port, empty; stops it first if it runs.
    pub fn start_again(&mut self) {
        self.stop();
        self.try_start().unwrap_or_else(|words| panic!("redis-server did not start again: {words}"));
    }

    /// Stops its clock: connections stay open and are accepted, and nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on where it was paused.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let Some(child) = &self.child else { panic!("redis-server does not run") };
        // The standard library can only kill; `kill` sends any signal without unsafe code.
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "`kill {signal}` failed");
    }

    /// Starts it; what it said if it did not come up.
    fn try_start(&mut self) -> Result<(), String> {
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(if self.is_tls {
            ["--port", "0", "--tls-port", &port]
        } else {
            ["--port", &port, "--tls-port", "0"]
        });
        command.arg("--dir").arg(self.directory.path()).args(&self.arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        let log = lines(child.stdout.take());
        self.child = Some(child);
        let mut said = Vec::new();
        while let Ok(line) = log.recv_timeout(PATIENCE) {
            if line.contains("Ready to accept connections") {
                return self.answers().map_err(|error| error.to_string());
            }
            said.push(line);
        }
        self.stop();
        Err(said.join("\n"))
    }

    /// Asks it for any answer; one behind TLS is believed when it says that it is ready.
    fn answers(&self) -> io::Result<()> {
        if self.is_tls {
            return Ok(());
        }
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"PING\r\n")?;
        // `+PONG`, or an error that asks for a password.
        stream.read_exact(&mut [0])
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    address.unwrap_or_else(|error| panic!("no free port: {error}")).port()
}
