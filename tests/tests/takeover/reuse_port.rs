//! Two processes at one address: the second is there before the first goes.

use std::net::TcpListener;

use gateway_tests::site::Site;

use crate::crowd::{Crowd, conclude, more_calls, prepare};

const CONFIG: &str = r#"
server: { reuse_port: true, drain_timeout: 30s }
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: gpt-4o-2024 } }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;

/// How often a process takes over from another.
const TAKEOVERS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_processes_take_over_from_each_other() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let site = Site::of(CONFIG).await.with("PORT", &port.to_string());
    prepare(&site);
    let mut serving = site.start();
    let crowd = Crowd::gather(serving.process.address(), 10);
    more_calls(&crowd, 100).await;
    for _ in 0..TAKEOVERS {
        let next = site.start();
        more_calls(&crowd, 50).await;
        let before = std::mem::replace(&mut serving, next);
        // Panics unless the process ends well: all of its calls are over then.
        tokio::task::spawn_blocking(move || before.process.stop()).await.unwrap();
        more_calls(&crowd, 50).await;
    }
    conclude(&format!("{TAKEOVERS} takeovers by SO_REUSEPORT"), &crowd.disperse().await);
}

#[tokio::test]
async fn a_second_process_is_refused_unless_both_allow_it() {
    let site = Site::of(&CONFIG.replace("reuse_port: true, ", "")).await;
    let first = site.start();
    let port = first.process.address().port().to_string();
    let second = site.folder.run(
        &["--config", "config.yaml"],
        &[
            ("HOST", "127.0.0.1"),
            ("PORT", &port),
            ("UPSTREAM", &site.upstream.api_base()),
            ("CALLER_KEY", gateway_tests::stage::CALLER_KEY),
        ],
    );
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
}
