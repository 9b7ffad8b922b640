//! The built `gateway-server` as a process of its own.
//!
//! End-to-end tests run the very binary that users run. It is built once per test process, by the cargo that runs the
//! tests and into the same folder, so it is never older than the code.

mod folder;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

pub use folder::{Folder, Run};

/// How long the process may take for what it does at once: start, stop, write a line.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `gateway-server` on a free port of 127.0.0.1, with a working directory of its own and no environment but
/// what the test gives it. Dropping it kills it.
#[derive(Debug)]
pub struct GatewayProcess {
    child: Child,
    address: SocketAddr,
    log: Receiver<String>,
    folder: Folder,
}

impl GatewayProcess {
    /// Starts the server on a configuration, and waits until it listens. `server.host` and `server.port` are set here.
    ///
    /// Panics, with the server's own words, if it does not come up.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with environment variables.
    pub fn start_with(config: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_in(&Folder::with_config(config), environment)
    }

    /// The same in a folder in which other processes may have run, or still run. One without a `config.yaml` is where the server
    /// is told of none.
    pub fn start_in(folder: &Folder, environment: &[(&str, &str)]) -> Self {
        let mut command = command(folder.path());
        if folder.path().join("config.yaml").exists() {
            command.args(["--config", "config.yaml"]);
        }
        command.envs([("HOST", "127.0.0.1"), ("PORT", "0")]);
        command.envs(environment.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("the server cannot be started: {error}"));
        let log = lines(child.stderr.take());
        let banner = lines(child.stdout.take());
        let Some(address) = banner.recv_timeout(PATIENCE).ok().as_deref().and_then(address) else {
            // It has ended, or it is late; its log ends with it. That it has ended already is no news.
            let _ = child.kill();
            let words: Vec<_> = log.iter().collect();
            panic!("the server did not start: {}", words.join("\n"));
        };
        Self { child, address, log, folder: folder.clone() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, such as `/v1/models`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its working directory, which holds `config.yaml` if there is one.
    pub fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for the next line of its log that `wanted` accepts. Panics if none comes within twenty seconds.
    pub fn log_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.log_until(wanted).pop().unwrap_or_default()
    }

    /// The same with the lines before it. The log is written behind what it tells of, so this is how a test sees all that was
    /// said up to some moment.
    pub fn log_until(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            let is_wanted = wanted(&line);
            seen.push(line);
            if is_wanted {
                return seen;
            }
        }
        panic!("the line never came; the log says:\n{}", seen.join("\n"));
    }

    /// Lines of its log that have arrived and were not yet taken. More may be under way.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    /// Resident memory of its own, in bytes, without the parts of the program that the system has mapped in so far; `None` where it
    /// does not tell.
    pub fn resident_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop, as an orchestrator does: SIGTERM.
    pub fn terminate(&self) -> io::Result<()> {
        // The standard library can only kill; `kill` sends any signal without unsafe code.
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("`kill` failed")) }
    }

    /// Ends it at once, as a machine that loses its power does: SIGKILL.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks it to stop, waits until it has ended, and gives the lines of its log that were not yet taken. Panics if it
    /// fails.
    pub fn stop(mut self) -> Vec<String> {
        let ended = self.terminate().and_then(|()| self.wait());
        // The log ends with the process.
        let log: Vec<_> = self.log.iter().collect();
        assert!(ended.is_ok_and(|status| status.success()), "it did not stop well: {}", log.join("\n"));
        assert!(!log.iter().any(|line| line.contains("panicked at")), "it panicked: {}", log.join("\n"));
        log
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, ready to be run in `directory` without any of this process's variables.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(path());
    command.current_dir(directory).env_clear();
    command
}

/// Where the binary is. `GATEWAY_SERVER` names another one than the one just built, such as a release build.
pub fn path() -> &'static Path {
    static PATH: LazyLock<PathBuf> = LazyLock::new(build);
    &PATH
}

#[expect(clippy::disallowed_methods, reason = "this is how cargo and a person talk to a test")]
fn build() -> PathBuf {
    if let Ok(path) = std::env::var("GATEWAY_SERVER") {
        return PathBuf::from(path);
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let release = if cfg!(debug_assertions) { &[][..] } else { &["--release"][..] };
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "gateway-server"])
        .args(release)
        .current_dir(&workspace)
        .status();
    assert!(built.is_ok_and(|status| status.success()), "gateway-server cannot be built");
    let own = std::env::current_exe().unwrap_or_else(|error| panic!("no path to this test: {error}"));
    // A test runs from `target/PROFILE/deps/`, a program from `target/PROFILE/`.
    let profile = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap_or(&own);
    profile.join("gateway-server")
}

/// The address in the banner's first line.
fn address(line: &str) -> Option<SocketAddr> {
    line.rsplit_once("://")?.1.parse().ok()
}

/// The lines of a pipe, taken out by a thread so that the process never blocks on it.
pub(crate) fn lines(pipe: Option<impl io::Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                // Read on when nobody listens any more: a process whose pipe is closed under it fails to write.
                drop(sender.send(line));
            }
        });
    }
    receiver
}
