//! How a test is run: alone, and again if the machine has made Redis slow.
//!
//! A gateway gives up a Redis that has not answered for 50 milliseconds, and then limits are not shared for a moment, as they
//! should not. On a machine that is busy with other things that happens to every process now and then. The gateways write
//! down when it does, so a run in which it happened without the test's doing says nothing, and is made again.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

use gateway_testing::GatewayProcess;
use tokio::sync::Mutex;

use super::scene::Scene;

/// How often a test is tried.
const ATTEMPTS: usize = 5;

/// Tests take turns, or they would make Redis slow for each other.
static TURN: Mutex<()> = Mutex::const_new(());

/// What a test is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Play<'a> {
    /// The keys, each of which has a name and further fields.
    pub(crate) keys: &'a [(&'a str, &'a str)],
    /// Further top-level sections of the configuration.
    pub(crate) sections: &'a str,
    /// How many gateways there are when it begins.
    pub(crate) nodes: usize,
    /// How often the gateways that are there in the end have to have lost Redis; they say it once each time, and once when it is
    /// back.
    pub(crate) losses: usize,
}

impl<'a> Play<'a> {
    /// A play of two gateways that never lose Redis.
    pub(crate) fn of(keys: &'a [(&'a str, &'a str)]) -> Self {
        Self { keys, sections: "", nodes: 2, losses: 0 }
    }

    /// Runs it, unless there is no Redis to be had. Panics if it does, or if Redis was lost more or less often than it has to
    /// be in each of a few runs.
    pub(crate) async fn run(self, act: impl AsyncFn(&mut Scene)) {
        let _turn = TURN.lock().await;
        for attempt in 1..=ATTEMPTS {
            let Some(mut scene) = Scene::new(self.keys, self.sections).await else { return };
            scene.nodes = (0..self.nodes).map(|_| scene.start()).collect();
            scene.are_acquainted().await;
            let end = caught(act(&mut scene)).await;
            let logs: Vec<_> = std::mem::take(&mut scene.nodes).into_iter().map(log).collect();
            let is_undisturbed = logs.iter().all(|log| lost_and_back(log) == (self.losses, self.losses));
            match end {
                Ok(()) if is_undisturbed => return,
                Err(panic) if is_undisturbed || attempt == ATTEMPTS => {
                    println!("{logs:#?}");
                    resume_unwind(panic);
                }
                _ => println!("{logs:#?}\nRedis was not lost and back {} times: once more", self.losses),
            }
        }
        panic!("Redis was not lost and back {} times in any of {ATTEMPTS} runs", self.losses);
    }
}

/// Runs to the end, or to a panic.
async fn caught(act: impl Future<Output = ()>) -> Result<(), Box<dyn Any + Send>> {
    let mut act = pin!(act);
    poll_fn(|context| {
        // What it leaves behind is looked at, and used no more.
        let progress = catch_unwind(AssertUnwindSafe(|| act.as_mut().poll(context)));
        progress.map_or_else(|panic| Poll::Ready(Err(panic)), |progress| progress.map(Ok))
    })
    .await
}

/// Ends a gateway and gives its log.
fn log(mut node: GatewayProcess) -> Vec<String> {
    let lines = node.log_lines();
    // Calls that are held would hold it, too.
    drop(node.kill());
    [lines, node.log_lines()].concat()
}

/// How often a log says that Redis was lost, and how often that it is back.
fn lost_and_back(log: &[String]) -> (usize, usize) {
    let count = |words: &str| log.iter().filter(|line| line.contains(words)).count();
    (count("Redis does not answer"), count("Redis answers again"))
}
