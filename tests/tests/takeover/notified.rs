//! What the process says of itself to systemd (`sd_notify(3)`).

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use gateway_tests::site::{STORED, Site};

/// Far longer than it takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Manager(UnixDatagram);

impl Manager {
    fn hears(&self) -> Vec<String> {
        let mut datagram = [0; 4096];
        let length = self.0.recv(&mut datagram).expect("the process says something");
        let words = std::str::from_utf8(&datagram[..length]).expect("text");
        words.lines().map(|line| line.split_once('=').map_or(line, |(name, _)| name).to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_it_is_ready_when_it_reads_its_configuration_again_and_when_it_stops() {
    let site = Site::of(STORED).await;
    let path = site.folder.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let site = site.with("NOTIFY_SOCKET", path.to_str().unwrap());
    let node = site.start();
    assert_eq!(manager.hears(), ["READY"]);
    let hung_up = Command::new("kill").args(["-HUP", &node.process.id().to_string()]).status().unwrap();
    assert!(hung_up.success());
    assert_eq!(manager.hears(), ["RELOADING", "MONOTONIC_USEC"]);
    assert_eq!(manager.hears(), ["READY"]);
    node.process.stop();
    assert_eq!(manager.hears(), ["STOPPING"]);
}
