//! A PostgreSQL server of a test's own.
//!
//! It runs under a shell that waits on a pipe from this process, so it ends with this process however that ends, and a
//! server that many tests share may live in a `static`.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::find_program;

/// Starts the server, stops it when a line or the end of the input comes, and at the end of the input removes its data:
/// nobody can start it again. It is told more than once to stop: a server of version 15 that happens to be taking a
/// connection may hear it the first time and sleep on it for a minute.
const SUPERVISOR: &str = r#"
data=$1; shift
"$@" 2>&1 &
server=$!
stop() {
    (while kill -QUIT "$server" 2>/dev/null; do sleep 0.2; done) &
    wait "$server"
}
if read -r line; then stop; else stop; rm -rf "$data"; fi
"#;
/// Who PostgreSQL is run by where the tests are run by root, which it refuses.
const USER: &str = "postgres";
/// The password of the one user of the databases, `postgres`.
const PASSWORD: &str = "for-tests-only";
/// How many free ports are tried: another process may take one between its being found and being used.
const ATTEMPTS: usize = 5;

/// A throwaway server on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    supervisor: Option<Child>,
    databases: AtomicU32,
}

impl PostgresServer {
    /// Starts one, which takes seconds. None, with a line that says so, where PostgreSQL is not installed.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start() -> Option<Self> {
        // Its other programs are beside it, wherever a link in the path points.
        let postgres = fs::canonicalize(find_program("postgres", &installations())?).ok()?;
        let programs = postgres.parent()?.to_owned();
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let mut server = Self { programs, folder, port: 0, supervisor: None, databases: AtomicU32::new(0) };
        server.initialise().unwrap_or_else(|error| panic!("initdb: {error}"));
        let mut words = String::new();
        for _ in 0..ATTEMPTS {
            match server.run(free_port()) {
                Ok(()) => return Some(server),
                Err(error) => words = error.to_string(),
            }
        }
        panic!("PostgreSQL does not start: {words}");
    }

    /// The URL of the database that is there from the start.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Panics
    ///
    /// If the server does not run.
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&self.url(), &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }

    /// Executes statements by hand, over a connection of their own.
    ///
    /// # Panics
    ///
    /// If they fail.
    pub fn execute(&self, url: &str, sql: &str) {
        self.query(url, sql);
    }

    /// Executes statements by hand, and gives what they return: a line for each row, with `|` between its columns.
    ///
    /// # Panics
    ///
    /// If they fail.
    pub fn query(&self, url: &str, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set",
            "ON_ERROR_STOP=1",
            "--command",
            sql,
        ]);
        let output = psql.arg(url).output().unwrap_or_else(|error| panic!("psql: {error}"));
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Stops at once, as after a power cut. What was committed is kept for [`PostgresServer::start_again`].
    pub fn stop(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            // It may have ended by itself, and then there is nobody to read this.
            let _ = supervisor.stdin.take().map(|mut input| input.write_all(b"stop\n"));
            let _ = supervisor.wait();
        }
    }

    /// Starts again with the same data on the same port.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.stop();
        self.run(self.port).unwrap_or_else(|error| panic!("PostgreSQL does not start again: {error}"));
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    fn initialise(&self) -> io::Result<()> {
        let password = self.folder.path().join("password");
        fs::write(&password, PASSWORD)?;
        if is_root()? {
            let owned = Command::new("chown").args(["-R", USER]).arg(self.folder.path()).status()?;
            assert!(owned.success(), "chown to {USER} failed");
        }
        let mut initdb = self.command(&self.programs.join("initdb"))?;
        initdb.args([
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
            "--auth=password",
            "--no-sync",
            "--pgdata",
        ]);
        initdb.arg(self.data()).arg("--pwfile").arg(password);
        let output = initdb.output()?;
        if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr))) }
    }

    /// Runs the server and waits until it takes connections.
    fn run(&mut self, port: u16) -> io::Result<()> {
        self.port = port;
        let mut command = self.command(Path::new("sh"))?;
        command.args(["-c", SUPERVISOR, "sh"]).arg(self.folder.path()).arg(self.programs.join("postgres"));
        command.arg("-D").arg(self.data()).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories=", "-c", "fsync=off"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut supervisor = command.spawn()?;
        let mut log = BufReader::new(supervisor.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).lines();
        self.supervisor = Some(supervisor);
        let mut words = Vec::new();
        for line in log.by_ref() {
            let line = line?;
            if line.contains("database system is ready to accept connections") {
                // Read on, so that it never blocks on a full pipe.
                thread::spawn(move || log.for_each(drop));
                return Ok(());
            }
            if gives_up(&line) {
                self.stop();
            }
            words.push(line);
        }
        Err(io::Error::other(words.join("\n")))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program, run by a user that PostgreSQL accepts.
    fn command(&self, program: &Path) -> io::Result<Command> {
        let mut command = if is_root()? {
            let mut command = Command::new("setpriv");
            command
                .args([format!("--reuid={USER}"), format!("--regid={USER}"), "--init-groups".to_owned()])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        Ok(command)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            drop(supervisor.stdin.take());
            let _ = supervisor.wait();
        }
    }
}

/// Where Debian and others keep the programs, the latest version first.
fn installations() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    versions.into_iter().rev().map(|path| path.join("bin")).collect()
}

/// A port that nobody uses, below those that systems give to clients (from 32768 on Linux): one of these may be gone when a
/// stopped server is started again.
fn free_port() -> u16 {
    let start = RandomState::new().build_hasher().finish();
    let candidates =
        (0..1000).map(|step| 20_000 + u16::try_from(start.wrapping_add(step) % 12_000).unwrap_or_default());
    let free = candidates.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.unwrap_or_else(|| panic!("no free port"))
}

/// Whether the server says in this line of its log that it will not start. It is FATAL as well what a client is told that
/// comes too early; all of that begins with the same words.
fn gives_up(line: &str) -> bool {
    line.split_once("FATAL:").is_some_and(|(_, message)| !message.trim_start().starts_with("the database system is "))
}

fn is_root() -> io::Result<bool> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_comes_too_early_is_no_end() {
        for (line, expected) in [
            ("2026-11-22 06:00:00.123 UTC [71] FATAL:  the database system is starting up", false),
            ("2026-11-22 06:00:00.123 UTC [71] FATAL:  the database system is not yet accepting connections", false),
            ("2026-11-22 06:00:00.123 UTC [71] FATAL:  the database system is in recovery mode", false),
            ("2026-11-22 06:00:00.123 UTC [70] LOG:  starting PostgreSQL 17.2", false),
            ("2026-11-22 06:00:00.123 UTC [70] FATAL:  could not create any TCP/IP sockets", true),
            ("2026-11-22 06:00:00.123 UTC [70] FATAL:  lock file \"postmaster.pid\" already exists", true),
        ] {
            assert_eq!(gives_up(line), expected, "{line}");
        }
    }
}
