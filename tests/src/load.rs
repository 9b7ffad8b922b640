//! Callers who go on calling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::site::{Node, calling, verdict};
use crate::stage::CALL;
use gateway_testing::Client;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Between two calls of one caller: a test's load, not a benchmark's.
const PAUSE: Duration = Duration::from_millis(3);

/// Callers of some keys, each over a connection of its own.
#[derive(Debug)]
pub struct Load {
    stopping: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Served>>,
}

/// What became of one caller's calls.
#[derive(Debug, Default)]
struct Served {
    count: usize,
    failures: Vec<(u16, String)>,
}

impl Load {
    /// Starts a caller for each of the keys, who makes the smallest call again and again.
    pub fn start(node: &Node, keys: &[&str]) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let address = node.process.address();
        let caller = |key: &&str| {
            let (key, stopping) = ((*key).to_owned(), Arc::clone(&stopping));
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut served = Served::default();
                while !stopping.load(Ordering::Relaxed) {
                    let answer = client.send(calling(&key, CALL)).await;
                    served.count += 1;
                    if answer.status != 200 {
                        served.failures.push(verdict(&answer));
                    }
                    sleep(PAUSE).await;
                }
                served
            })
        };
        let callers = keys.iter().map(caller).collect();
        Self { stopping, callers }
    }

    /// Stops, and gives how many calls there were. Panics if one was not served.
    pub async fn assert_served(self) -> usize {
        self.stopping.store(true, Ordering::Relaxed);
        let mut all = 0;
        for caller in self.callers {
            let Served { count, failures } = caller.await.expect("a caller");
            assert!(failures.is_empty() && count > 0, "{} of {count} calls: {:?}", failures.len(), failures.first());
            all += count;
        }
        all
    }
}
