//! Whoever reads the log stops reading, or is gone, or there is nobody.
//!
//! The server is started by hand here, because its log must not be read before a test says so.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use gateway_testing::{Client, FakeUpstream, Folder, Script, binary, client};
use gateway_tests::patience::until;
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, authorized, with_header};
use tokio::task::JoinSet;

use crate::exposition::{scrape, value};

const CONFIG: &str = r#"
providers: [ { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: gpt-4o-2024 } } ]
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;

/// How many callers make calls at once, and how many each of them makes between two looks at what is lost.
const CALLERS: usize = 8;
const ROUND: usize = 250;

/// More calls, of at least a line each, than there is room for: 4 MiB of lines wait for the pipe, which holds 64 KiB.
const ENOUGH: usize = 24_000;

/// A gateway whose log nobody reads.
struct Unread {
    child: Child,
    address: SocketAddr,
    /// Held, as is the banner: a pipe that is closed is another matter.
    log: Option<ChildStderr>,
    _banner: BufReader<ChildStdout>,
    _upstream: FakeUpstream,
    _folder: Folder,
}

impl Unread {
    async fn start() -> Self {
        Self::with_log(Stdio::piped()).await
    }

    /// One that writes its log there.
    async fn with_log(log: Stdio) -> Self {
        let upstream = FakeUpstream::start([]).await.unwrap();
        upstream.otherwise(|_| Script::json(200, "{}"));
        let folder = Folder::with_config(CONFIG);
        let mut command = binary::command(folder.path());
        command.args(["--config", "config.yaml"]).stdout(Stdio::piped()).stderr(log);
        command.envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("CALLER_KEY", CALLER_KEY)]);
        command.env("UPSTREAM", upstream.api_base());
        let mut child = command.spawn().unwrap();
        let mut banner = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        banner.read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("://").and_then(|(_, address)| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        let log = child.stderr.take();
        Self { child, address, log, _banner: banner, _upstream: upstream, _folder: folder }
    }

    /// Makes calls, which are answered.
    async fn calls(&self, count: u32) {
        let mut client = Client::connect(self.address).await;
        for _ in 0..count {
            let answer = client.send(authorized("POST", CHAT, CALL)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    /// Makes calls with no key, which cost nobody much, and of each of which there is a line.
    async fn refused_calls(&self) {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let mut client = Client::connect(self.address).await;
            callers.spawn(async move {
                for _ in 0..ROUND {
                    assert_eq!(client.send(client::request("GET", "/v1/models", "")).await.status, 401);
                }
            });
        }
        callers.join_all().await;
    }

    async fn lost(&self) -> f64 {
        value(&scrape(self.address).await, "llm_proxy_log_lines_dropped_total")
    }

    /// Makes calls until lines are lost, and says how many are.
    async fn fill(&self) -> f64 {
        for _ in 0..ENOUGH.div_ceil(CALLERS * ROUND) {
            self.refused_calls().await;
            let lost = self.lost().await;
            if lost > 0.0 {
                return lost;
            }
        }
        panic!("nothing is lost of {ENOUGH} lines that nobody reads");
    }

    /// Begins to read the log.
    fn read(&mut self) -> Receiver<String> {
        let (sender, lines) = channel();
        let log = self.log.take().expect("a log that nobody reads");
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                // Read on to the end, whether or not anybody listens.
                let _ = sender.send(line);
            }
        });
        lines
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_lines_are_counted_as_lost_and_later_ones_are_read() {
    let mut gateway = Unread::start().await;
    let lost = gateway.fill().await;
    gateway.calls(50).await;
    gateway.refused_calls().await;
    let now = gateway.lost().await;
    // At the first loss there may have been room in the pipe for some hundred lines more.
    assert!(now >= lost + 1000.0, "of 2,050 calls there is a line each: {lost}, {now}");

    let lines = gateway.read();
    let mut seen = Vec::new();
    let mut number = 0;
    // While the queue empties, there may be no room for one line or another.
    let later = async || {
        number += 1;
        let request = with_header(authorized("POST", CHAT, CALL), "x-request-id", &format!("later-{number}"));
        assert_eq!(Client::connect(gateway.address).await.send(request).await.status, 200);
        let fresh: Vec<String> = lines.try_iter().collect();
        let is_later = |line: &String| line.contains(r#""target":"access""#) && line.contains("later-");
        let found = fresh.iter().any(is_later);
        seen.extend(fresh);
        found.then_some(())
    };
    until("a line of a later call", later).await;
    for line in &seen {
        let line: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(line.is_ok(), "a line is lost whole or not at all: {line:?}");
    }
    assert!(gateway.lost().await >= now, "it is never counted down");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_ends_all_the_same() {
    let mut gateway = Unread::start().await;
    gateway.fill().await;
    let status = Command::new("kill").args(["-TERM", &gateway.child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let ended = until("the process to end", async || gateway.child.try_wait().unwrap()).await.0;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_cannot_be_written_are_counted() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, broken) = io::pipe().unwrap();
    drop(reader);
    for (name, log) in [("a full device", Stdio::from(full)), ("a pipe whose reader is gone", Stdio::from(broken))] {
        let gateway = Unread::with_log(log).await;
        gateway.calls(50).await;
        gateway.refused_calls().await;
        // At the latest when the log's own thread has come to them.
        let all = async || (gateway.lost().await >= 2050.0).then_some(());
        until(&format!("all lines to be counted as lost to {name}"), all).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_what_does_not_block_gets_every_line() {
    let (reader, log) = UnixStream::pair().unwrap();
    // As the gateway sees it as well: this is of the socket, and not of who holds it.
    log.set_nonblocking(true).unwrap();
    let gateway = Unread::with_log(OwnedFd::from(log).into()).await;
    // More than the socket holds, less than may wait.
    for _ in 0..2 {
        gateway.refused_calls().await;
    }
    let lines = BufReader::new(reader.try_clone().unwrap()).lines().map(Result::unwrap);
    let mut access = lines.filter(|line| line.contains(r#""target":"access""#)).take(2 * CALLERS * ROUND);
    assert!(access.all(|line| line.contains(r#""status":401"#)));
    assert!(gateway.lost().await < 1.0);
    reader.shutdown(Shutdown::Both).unwrap();
}
