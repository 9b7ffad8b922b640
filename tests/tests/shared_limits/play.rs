//! How a test is run: alone, and with a look at what the gateways have said of Redis.
//!
//! A gateway that gives up a healthy Redis for a moment does not share limits for that moment, so numbers are exact only
//! where none does. On a machine that is busy with other things an answer may be late by more than production waits for, so
//! these gateways wait for longer, but where a test is about that; how often they lost Redis is looked at in the end.

use gateway_tests::patience::until;
use tokio::sync::Mutex;

use super::scene::{Node, Scene};

/// Tests take turns, or they would be in each other's way.
static TURN: Mutex<()> = Mutex::const_new(());

/// What a test is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Play<'a> {
    /// The keys, each of which has a name and further fields.
    pub(crate) keys: &'a [(&'a str, &'a str)],
    /// The members of `redis` in the configuration.
    pub(crate) redis: &'a str,
    /// How many gateways there are when it begins.
    pub(crate) nodes: usize,
    /// How often the gateways that are there in the end have to have lost Redis; they say it once each time, and once when it is
    /// back.
    pub(crate) losses: usize,
}

impl<'a> Play<'a> {
    /// A play of two gateways that never lose Redis.
    pub(crate) fn of(keys: &'a [(&'a str, &'a str)]) -> Self {
        Self { keys, redis: "timeout: 10s", nodes: 2, losses: 0 }
    }

    /// Runs it, unless there is no Redis to be had. Panics if it does, or if Redis was lost more or less often than it has to
    /// be.
    pub(crate) async fn run(self, act: impl AsyncFn(&mut Scene)) {
        let _turn = TURN.lock().await;
        let Some(mut scene) = Scene::new(self.keys, self.redis).await else { return };
        scene.nodes = (0..self.nodes).map(|_| scene.start()).collect();
        scene.are_acquainted().await;
        act(&mut scene).await;
        for node in &scene.nodes {
            // Whoever is back says so when it has been for a while.
            let look = async || (lost_and_back(node).1 >= self.losses).then_some(());
            until("Redis to be told to be back", look).await;
            assert_eq!(lost_and_back(node), (self.losses, self.losses), "{:#?}", node.log());
        }
    }
}

/// How often a gateway has said that Redis was lost, and how often that it is back.
pub(crate) fn lost_and_back(node: &Node) -> (usize, usize) {
    let log = node.log();
    let count = |words: &str| log.iter().filter(|line| line.contains(words)).count();
    (count("Redis does not answer"), count("Redis answers again"))
}
