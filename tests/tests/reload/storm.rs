//! Two hundred edits under two hundred streams. How soon they are in force is what the reload drill measures (`just reloads`).

use std::fs;

use gateway_tests::edited::Scene;
use gateway_tests::patience::until;
use gateway_tests::storm::{STREAMS, Storm};

const EDITS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_notices_that_the_file_changes() {
    let scene = Scene::new().await;
    // The level to come back to is that of a gateway that has served and reloaded before.
    Storm::rage(&scene, 10, 0).await;
    let before = Level::of(&scene).await;
    let storm = Storm::rage(&scene, EDITS, 10).await;
    let after = Level::of(&scene).await;
    let [half, most, all] = [50, 99, 100].map(|percent| storm.within(percent));
    println!(
        "{EDITS} edits under {} streams; valid ones in force: p50 {half:?}, p99 {most:?}, max {all:?}",
        storm.streams
    );
    // A descriptor that is lost with every other edit shows. Each worker keeps as many connections as it has had streams at most, so
    // there may be some more of those.
    assert!(after.descriptors <= before.descriptors + EDITS / 2, "descriptors: {before:?} before, {after:?} after");
    assert!(after.memory <= before.memory + (16 << 20), "memory: {before:?} before, {after:?} after");
}

/// What a process holds.
#[derive(Debug)]
struct Level {
    descriptors: usize,
    memory: u64,
}

impl Level {
    /// Once the connections of the streams are closed. Those to the upstream stay for the next.
    async fn of(scene: &Scene) -> Self {
        let folder = format!("/proc/{}/fd", scene.node.process.id());
        let descriptors = || fs::read_dir(&folder).unwrap().count();
        let kept = scene.site.upstream.connections();
        let few = async || Some(descriptors()).filter(|count| *count < kept + STREAMS / 2);
        let (descriptors, _) = until("connections that close", few).await;
        Self { descriptors, memory: scene.node.process.resident_memory().unwrap_or_default() }
    }
}
