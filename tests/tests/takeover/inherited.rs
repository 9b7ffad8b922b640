//! A socket that outlives the processes which serve it, as systemd hands it over (`sd_listen_fds(3)`).

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use gateway_testing::binary;
use gateway_tests::site::Site;
use gateway_tests::stage::CALLER_KEY;

use crate::connection::{Protocol, Way};
use crate::crowd::{Crowd, conclude, more_calls, prepare};

const CONFIG: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: gpt-4o-2024 } }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;

/// A gateway that was handed a socket.
struct Activated(Child);

impl Activated {
    /// Starts one and waits until it says where it listens.
    fn start(site: &Site, socket: &TcpListener) -> (Self, SocketAddr) {
        let socket = OwnedFd::from(socket.try_clone().unwrap());
        // The shell moves the socket to where systemd puts it, and becomes the gateway, whose process id it therefore knows.
        let script = r#"exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" --config config.yaml"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(binary::path()).current_dir(site.folder.path()).env_clear();
        command.envs([("UPSTREAM", site.upstream.api_base().as_str()), ("CALLER_KEY", CALLER_KEY)]);
        let child = command.stdin(Stdio::from(socket)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = Self(child.unwrap());
        let mut banner = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut banner).unwrap();
        let address = banner.trim().rsplit_once("://").expect("a banner").1.parse().expect("an address");
        (process, address)
    }

    fn stop(mut self) {
        let status = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        // It has ended already, unless a test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_in_the_socket_while_the_process_is_another() {
    let site = Site::of(CONFIG).await;
    prepare(&site);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut serving, address) = Activated::start(&site, &socket);
    assert_eq!(address, socket.local_addr().unwrap());
    let crowd = Crowd::gather(&Way::in_clear(address, Protocol::Http1), 5);
    more_calls(&crowd, 50).await;
    for _ in 0..3 {
        // One after the other, as `systemctl restart` does it: for a moment there is no process at all.
        let before = serving;
        serving = tokio::task::block_in_place(|| {
            before.stop();
            Activated::start(&site, &socket).0
        });
        more_calls(&crowd, 50).await;
    }
    conclude("3 restarts on an inherited socket", &crowd.disperse().await);
    serving.stop();
}
