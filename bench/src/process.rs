//! Processes that end with the value that holds them, by their own id.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

/// How long something may take to start or to end.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A running process.
pub(crate) struct Process {
    child: Child,
}

/// Where a process runs and where what it says goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The cores it may use; all of them if none is named.
    pub(crate) cores: &'a [usize],
    /// Its working directory, which also gets its output, in files named after it.
    pub(crate) folder: &'a Path,
}

impl Process {
    /// Starts a program.
    pub(crate) fn start(place: Place<'_>, name: &str, command: &[&OsStr]) -> Result<Self> {
        let out = File::create(place.folder.join(format!("{name}.out")))?;
        Self::spawn(&mut launched(place.cores, command)?, place, name, out.into())
    }

    /// Starts a mode of this tool that serves, and waits for the line that says where.
    pub(crate) fn serve(place: Place<'_>, name: &str, arguments: &[&OsStr]) -> Result<(Self, std::net::SocketAddr)> {
        let tool = std::env::current_exe()?;
        let command: Vec<&OsStr> = std::iter::once(tool.as_os_str()).chain(arguments.iter().copied()).collect();
        let mut process = Self::spawn(&mut launched(place.cores, &command)?, place, name, Stdio::piped())?;
        let mut line = String::new();
        BufReader::new(process.output()?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("{name} does not say where it listens"))?;
        Ok((process, address))
    }

    /// Starts a program without any step between, to see how long it takes.
    pub(crate) fn start_at_once(folder: &Path, name: &str, command: &[&OsStr]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command")?;
        let out = File::create(folder.join(format!("{name}.out")))?;
        Self::spawn(Command::new(program).args(arguments), Place { cores: &[], folder }, name, out.into())
    }

    fn spawn(command: &mut Command, place: Place<'_>, name: &str, out: Stdio) -> Result<Self> {
        let log = File::create(place.folder.join(format!("{name}.err")))?;
        let command = command.current_dir(place.folder).env_clear().stdin(Stdio::null()).stdout(out).stderr(log);
        Ok(Self { child: command.spawn().with_context(|| format!("{name} cannot be started"))? })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn output(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().context("its output is not read")
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended with {status}"),
        }
    }

    /// Asks it to end and waits until it has.
    fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no id")?;
        kill_process(id, Signal::TERM)?;
        let ended = wait_for("its end", || Ok(self.child.try_wait()?));
        if ended.is_err() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(problem) = self.stop() {
            eprintln!("process {}: {problem:#}", self.child.id());
        }
    }
}

/// The command that becomes another one on these cores.
fn launched(cores: &[usize], command: &[&OsStr]) -> Result<Command> {
    let mut launched = Command::new(std::env::current_exe()?);
    launched.arg("launch");
    for core in cores {
        launched.args(["--core", &core.to_string()]);
    }
    launched.arg("--").args(command);
    Ok(launched)
}

/// Runs a mode of this tool that reads something and answers it.
pub(crate) fn ask(cores: &[usize], mode: &str, question: &[u8]) -> Result<Vec<u8>> {
    let tool = std::env::current_exe()?;
    let mut command = launched(cores, &[tool.as_os_str(), OsStr::new(mode)])?;
    let mut child = command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // Dropped at once, so that the other side sees the end of it.
    child.stdin.take().context("no input")?.write_all(question)?;
    let output = child.wait_with_output()?;
    if output.status.success() { Ok(output.stdout) } else { bail!("{mode} ended with {}", output.status) }
}

/// Runs a program to its end, in a folder.
pub(crate) fn complete(folder: &Path, command: &[&OsStr]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command")?;
    let output = Command::new(program).args(arguments).current_dir(folder).env_clear().stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{} ended with {}: {}", program.display(), output.status, String::from_utf8_lossy(&output.stderr))
}

/// Looks again and again until there is something to see.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("{what} did not come within {} s", PATIENCE.as_secs());
        }
        pause(Duration::from_millis(5));
    }
}

/// Does nothing for a while.
#[expect(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}
