//! Good, bad and absent configurations.

use gateway_testing::{Client, client};
use gateway_tests::stage::with_header;

use crate::program::Folder;

const GOOD: &str = "\
auth: none
providers:
  - { name: main, api_base: \"http://127.0.0.1:9/v1\", api_key: \"${KEY:-sk-1}\" }
";

/// Four mistakes, in lines 2, 4, 5 and 6.
const BAD: &str = "\
server:
  port: many
providers:
  - { api_base: \"http://127.0.0.1:9/v1\", api_key: sk-secret-1 }
  - { name: main, api_base: \"ftp://127.0.0.1\", api_key: sk-secret-1 }
pasthrough: main
";

const FREE_PORT: [(&str, &str); 2] = [("HOST", "127.0.0.1"), ("PORT", "0")];

#[test]
fn check_sums_a_good_one_up() {
    let run = Folder::with("gateway.yaml", GOOD).run(&["check", "--config", "gateway.yaml"], &[]);
    assert!(run.status.success(), "{run:?}");
    assert!(run.stdout.contains("gateway.yaml") && run.stdout.contains("main"), "{run:?}");
    assert_eq!(run.stderr, "");
    // `config.yaml` is the file without being named.
    assert!(Folder::with("config.yaml", GOOD).run(&["check"], &[]).status.success());
}

#[test]
fn every_mistake_of_a_bad_one_is_shown() {
    let folder = Folder::with("gateway.yaml", BAD);
    let arguments = ["--config", "gateway.yaml"];
    let check = folder.run(&[&["check"][..], &arguments].concat(), &[]);
    assert_eq!((check.status.code(), &*check.stdout), (Some(1), ""), "{check:?}");
    for mistake in [
        "gateway.yaml:2:",
        "server.port",
        "many",
        "gateway.yaml:4:",
        "providers[0]",
        "gateway.yaml:5:",
        "providers[1].api_base",
        "gateway.yaml:6:",
        "passthrough",
    ] {
        assert!(check.stderr.contains(mistake), "{mistake} in {}", check.stderr);
    }
    assert!(!check.stderr.contains("sk-secret-1"), "{}", check.stderr);

    let serve = folder.run(&arguments, &[]);
    assert_eq!((serve.status.code(), &*serve.stdout), (Some(1), ""), "{serve:?}");
    assert_eq!(serve.stderr, check.stderr);
}

#[test]
fn a_model_that_nobody_serves_is_refused() {
    let config = "\
auth: none
providers:
  - { name: main, api_base: \"http://127.0.0.1:9/v1\", model_mapping: { known: known, \"gpt-*\": \"*\" } }
models:
  known: {}
  gpt-4o: {}
  ghost: {}
";
    let run = Folder::with("gateway.yaml", config).run(&["check", "--config", "gateway.yaml"], &[]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(run.stderr.contains("gateway.yaml:7:") && run.stderr.contains("models.ghost"), "{run:?}");
    assert!(!run.stderr.contains("gateway.yaml:5:") && !run.stderr.contains("gateway.yaml:6:"), "{run:?}");
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    for (arguments, environment) in
        [(&["--config", "absent.yaml"][..], &[][..]), (&[][..], &[("CONFIG_PATH", "absent.yaml")])]
    {
        let run = Folder::new().run(arguments, environment);
        assert_eq!(run.status.code(), Some(1), "{run:?}");
        assert!(run.stderr.contains("absent.yaml"), "{run:?}");
    }
}

#[test]
fn tls_files_have_to_be_there() {
    let config = format!("{GOOD}server: {{ tls: {{ cert: absent.pem, key: absent.pem }} }}\n");
    let run = Folder::with("config.yaml", &config).run(&[], &FREE_PORT);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(run.stderr.contains("absent.pem"), "{run:?}");
}

#[tokio::test]
async fn without_a_file_it_starts_empty() {
    let folder = Folder::new();
    let mut running = folder.start(&[], &FREE_PORT);
    let banner = running.read_until("health");
    assert!(banner.contains("none yet"), "{banner}");
    let url = banner.lines().next().unwrap().rsplit_once("http://").unwrap().1;
    let address = url.parse().unwrap();
    assert_eq!(client::get(address, "/health").await.status, 200);
    assert_eq!(client::get(address, "/readyz").await.status, 503);
    let models = client::get(address, "/v1/models").await;
    assert_eq!((models.status.as_u16(), &*models.error_code()), (401, "missing_api_key"));
}

#[tokio::test]
async fn variables_are_configuration_too() {
    let variables = "GATEWAY__MASTER_KEYS__0__NAME=team\nGATEWAY__MASTER_KEYS__0__KEY=sk-from-file\nPORT=1\n";
    let folder = Folder::with(".env", variables);
    // The process's own variables win.
    let mut running = folder.start(&[], &FREE_PORT);
    let mut client = Client::connect(running.address()).await;
    let authorized = |request| with_header(request, "authorization", "Bearer sk-from-file");
    let models = client.send(authorized(client::request("GET", "/v1/models", ""))).await;
    assert_eq!(models.text(), r#"{"object":"list","data":[]}"#);
    let call = client.send(authorized(client::request("POST", "/v1/chat/completions", r#"{"model":"m"}"#))).await;
    assert_eq!((call.status.as_u16(), &*call.error_code()), (404, "model_not_found"));
}
