//! Two processes at one address: the second is there before the first goes.

use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use gateway_testing::{PostgresServer, binary};
use gateway_tests::site::Site;
use gateway_tests::stage::CALLER_KEY;
use gateway_tests::tls::Certificate;

use crate::connection::{Protocol, Way};
use crate::crowd::{Crowd, Manner, conclude, more_calls, prepare};

const CONFIG: &str = r#"
server: { reuse_port: true, drain_timeout: 30s }
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: gpt-4o-2024 } }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;

/// How often a process takes over from another.
const TAKEOVERS: usize = 6;

/// Callers call by this protocol, with TLS or without, while processes take over from each other.
async fn take_over(protocol: Protocol, certificate: Option<&Certificate>) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tls = certificate.map_or_else(String::new, |certificate| format!("{}, ", certificate.setting()));
    let config = CONFIG.replace("reuse_port: true, ", &format!("reuse_port: true, {tls}"));
    let site = Site::of(&config).await.with("PORT", &port.to_string());
    prepare(&site);
    let mut serving = site.start();
    let address = serving.process.address();
    let way = match certificate {
        Some(certificate) => Way::secured(address, protocol, certificate),
        None => Way::in_clear(address, protocol),
    };
    let crowd = Crowd::gather(&way, 10);
    more_calls(&crowd, 100).await;
    for _ in 0..TAKEOVERS {
        let next = site.start();
        more_calls(&crowd, 50).await;
        let before = std::mem::replace(&mut serving, next);
        // Panics unless the process ends well: all of its calls are over then.
        tokio::task::spawn_blocking(move || before.process.stop()).await.unwrap();
        more_calls(&crowd, 50).await;
    }
    let title = format!("{TAKEOVERS} takeovers by SO_REUSEPORT, {way}");
    let seen = crowd.disperse().await;
    conclude(&title, &seen);
    // What was said not to have been taken was not, and nothing was taken twice.
    let answered: usize = seen.iter().map(|(_, seen)| seen.calls).sum();
    assert_eq!(site.upstream.requests().len(), answered);
    if protocol == Protocol::Http2 {
        for (manner, seen) in seen.iter().filter(|(manner, _)| *manner != Manner::Fresh) {
            // Each takeover ended a connection that was in use, with calls under way on it.
            assert!(seen.connections > TAKEOVERS, "{manner:?}: {seen:?}");
            assert!(*manner == Manner::Kept || seen.outlasting >= TAKEOVERS, "{manner:?}: {seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_processes_take_over_from_each_other() {
    take_over(Protocol::Http1, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_over_tls() {
    take_over(Protocol::Http1, Some(&Certificate::issue())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_over_http_2() {
    take_over(Protocol::Http2, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_over_http_2_and_tls() {
    take_over(Protocol::Http2, Some(&Certificate::issue())).await;
}

#[tokio::test]
async fn a_second_process_is_refused_unless_both_allow_it() {
    let site = Site::of(&CONFIG.replace("reuse_port: true, ", "")).await;
    let first = site.start();
    let port = first.process.address().port().to_string();
    let second = site.folder.run(
        &["--config", "config.yaml"],
        &[("HOST", "127.0.0.1"), ("PORT", &port), ("UPSTREAM", &site.upstream.api_base()), ("CALLER_KEY", CALLER_KEY)],
    );
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
}

/// Half of the new connections would come to it, while the one before can serve them.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_know_its_keys_yet_takes_no_calls() {
    let Some(mut server) = PostgresServer::start() else { return };
    let url = server.create_database();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let site = Site::of(CONFIG).await;
    server.stop();
    let mut waiting = Waiting::start(&site, port, &url);
    waiting.until_it_says("waiting for the store");
    assert!(TcpStream::connect(address).is_err(), "it listens");
    server.start_again();
    waiting.until_it_says("\"listening\"");
    assert!(TcpStream::connect(address).is_ok());
    assert!(waiting.stop());

    server.stop();
    let mut waiting = Waiting::start(&site, port, &url);
    waiting.until_it_says("waiting for the store");
    assert!(!waiting.stop(), "it has never served");
}

/// A gateway that is not there yet.
struct Waiting {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Waiting {
    fn start(site: &Site, port: u16, store: &str) -> Self {
        let mut command = binary::command(site.folder.path());
        command.args(["--config", "config.yaml"]).envs([
            ("HOST", "127.0.0.1"),
            ("PORT", &port.to_string()),
            ("DB_URL", store),
            ("UPSTREAM", &site.upstream.api_base()),
            ("CALLER_KEY", CALLER_KEY),
        ]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// Panics if it ends before.
    fn until_it_says(&mut self, words: &str) {
        assert!(self.log.by_ref().map(Result::unwrap).any(|line| line.contains(words)), "it never said {words}");
    }

    /// Asks it to stop, and returns whether it ended well.
    fn stop(mut self) -> bool {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It has ended already, unless a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
