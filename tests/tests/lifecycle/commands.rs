//! What can be asked of the binary on the command line, and what it answers.

use std::net::TcpListener;
use std::path::Path;

use gateway_testing::client;

use crate::program::Folder;

const FREE_PORT: [(&str, &str); 2] = [("HOST", "127.0.0.1"), ("PORT", "0")];

fn quickstart() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/quickstart.yaml");
    path.to_str().unwrap().to_owned()
}

#[test]
fn it_says_its_version() {
    let run = Folder::new().run(&["--version"], &[]);
    assert!(run.status.success(), "{run:?}");
    assert_eq!(run.stdout, format!("gateway-server {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn unknown_arguments_are_explained() {
    for arguments in [&["--cofnig", "x"][..], &["sevre"], &["simulate", "--port", "many"]] {
        let run = Folder::new().run(arguments, &[]);
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains("--help"), "{run:?}");
    }
}

#[tokio::test]
async fn the_start_shows_a_call_that_works() {
    let folder = Folder::new();
    let mut running = folder.start(&["--config", &quickstart()], &FREE_PORT);
    let banner = running.read_until("curl");
    let (first, _) = banner.split_once('\n').unwrap();
    let url = first.rsplit_once(' ').unwrap().1;
    assert_eq!(first, format!("gateway-server {} listening on {url}", env!("CARGO_PKG_VERSION")));
    assert!(banner.contains("sim-*") && banner.contains("simulator"), "{banner}");

    let line = banner.lines().last().unwrap().trim();
    assert!(line.starts_with(&format!("curl {url}/v1/chat/completions -H ")), "{line}");
    let body = line.split_once("-d '").unwrap().1.strip_suffix('\'').unwrap();
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let answer = client::post(address, "/v1/chat/completions", body.to_owned()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello");
    assert_eq!(client::get(address, "/readyz").await.status, 200);
}

/// As behind `gateway-server | head -1`, or under a supervisor that closes it.
#[tokio::test]
async fn it_serves_although_nobody_reads_its_output() {
    let folder = Folder::new();
    let mut running = folder.start_unheard(&["--config", &quickstart()], &FREE_PORT);
    let log = running.read_until("\"listening\"");
    let line: serde_json::Value = serde_json::from_str(log.lines().last().unwrap_or_default()).expect(&log);
    let address = line["address"].as_str().unwrap().parse().unwrap();
    assert_eq!(client::get(address, "/health").await.status, 200);
}

#[tokio::test]
async fn the_quick_start_streams() {
    let folder = Folder::new();
    let mut running = folder.start(&["serve", "--config", &quickstart()], &FREE_PORT);
    let body = r#"{"model":"sim-words","stream":true,"messages":[{"role":"user","content":"漢字 🦀"}]}"#;
    let answer = client::post(running.address(), "/v1/chat/completions", body).await;
    assert_eq!(answer.header("content-type").split(';').next(), Some("text/event-stream"));
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert!(answer.text().contains(r#""model":"sim-words""#), "{}", answer.text());
}

#[tokio::test]
async fn the_simulator_serves_by_itself() {
    let folder = Folder::new();
    let mut running = folder.start(&["simulate", "--port", "0", "--workers", "1"], &[]);
    let address = running.address();
    let body = r#"{"model":"any","messages":[{"role":"user","content":"Hello"}]}"#;
    let answer = client::post(address, "/v1/chat/completions", body).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello");
    running.signal("TERM");
    assert!(running.wait().success());
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [&["--config", &quickstart()][..], &["simulate", "--port", &port]] {
        let run = Folder::new().run(arguments, &[("HOST", "127.0.0.1"), ("PORT", &port)]);
        assert_eq!(run.status.code(), Some(1), "{run:?}");
        assert!(run.stderr.contains(&address), "{run:?}");
        assert!(run.stderr.contains("in use"), "{run:?}");
        assert_eq!(run.stdout, "", "nothing is served");
    }
}
