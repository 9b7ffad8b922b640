//! Two hundred edits under two hundred streams.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gateway_testing::Script;
use gateway_tests::patience::until;
use gateway_tests::stream::{DONE, Events, event, finish, text};
use tokio::task::JoinSet;

use crate::scene::{Scene, file, models, with_model};

const EDITS: usize = 200;
const STREAMS: usize = 200;
/// The events of a stream; at this pace it lasts a second, so that each edit finds streams that are old and some that are new.
const EVENTS: usize = 20;
const PACE: Duration = Duration::from_millis(50);
/// When a valid edit is to be in force.
const PROMPT: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_notices_that_the_file_changes() {
    let scene = Scene::new().await;
    scene.site.upstream.otherwise(|_| stream());
    // The level to come back to is that of a gateway that has served and reloaded before.
    storm(&scene, 10, 0).await;
    let before = Level::of(&scene).await;
    let taken = storm(&scene, EDITS, 10).await;
    let after = Level::of(&scene).await;
    report(taken);
    assert!(after.descriptors <= before.descriptors + STREAMS / 10, "descriptors: {before:?} before, {after:?} after");
    assert!(after.memory <= before.memory + (16 << 20), "memory: {before:?} before, {after:?} after");
}

/// Edits the file under streams, and gives how long each valid edit took to be in force.
async fn storm(scene: &Scene, edits: usize, first: usize) -> Vec<Duration> {
    let is_over = Arc::new(AtomicBool::new(false));
    let whole = Arc::new(AtomicUsize::new(0));
    let gateway = scene.node.process.address();
    let mut tasks = JoinSet::new();
    for _ in 0..STREAMS {
        tasks.spawn(stream_on(gateway, Arc::clone(&is_over), Arc::clone(&whole)));
    }
    tasks.spawn(watch_models(gateway, Arc::clone(&is_over)));
    let mut taken = Vec::new();
    for number in first..first + edits {
        taken.extend(edit(scene, number).await);
    }
    is_over.store(true, Ordering::Relaxed);
    // A task that has panicked fails the test here.
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let whole = whole.load(Ordering::Relaxed);
    assert!(whole >= STREAMS, "{whole} streams");
    println!("{edits} edits under {whole} streams, {STREAMS} at a time");
    taken
}

/// Every other edit is a mistake; every other pair of edits is written in place, the others are renamed into it.
async fn edit(scene: &Scene, number: usize) -> Option<Duration> {
    let write = |text: String| if number & 2 == 0 { scene.write(text) } else { scene.replace(text) };
    if number & 1 == 0 {
        write(file(&format!("version-{number}")));
        return Some(scene.served(&format!("version-{number}")).await);
    }
    write(with_model(&format!("invalid-{number}"), &format!("retry: {{ max_retries: mistake-{number} }}\n")));
    scene.refused(&format!("mistake-{number}`")).await;
    None
}

fn stream() -> Script {
    let numbered = |number: usize| text(&number.to_string());
    let script = Script::event_stream();
    let script = (0..EVENTS).fold(script, |script, number| script.event(&numbered(number)).pause(PACE));
    script.event(&finish()).event("[DONE]").end_chunks()
}

/// Streams one after the other until the storm is over, each of which has to be whole.
async fn stream_on(gateway: SocketAddr, is_over: Arc<AtomicBool>, whole: Arc<AtomicUsize>) {
    let numbers = (0..EVENTS).map(|number| event(&text(&number.to_string())));
    let expected: Vec<_> = numbers.chain([event(&finish())]).map(|event| content(&event)).collect();
    while !is_over.load(Ordering::Relaxed) {
        let mut events = Events::open(gateway).await;
        assert_eq!(events.status, 200);
        let mut seen = events.rest().await;
        assert_eq!(seen.pop().as_deref(), Some(DONE));
        let seen: Vec<_> = seen.iter().map(|event| content(event)).collect();
        assert_eq!(seen, expected);
        whole.fetch_add(1, Ordering::Relaxed);
    }
}

/// What an event says, apart from what the gateway adds to it.
fn content(event: &str) -> String {
    let payload: serde_json::Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    payload["choices"].to_string()
}

/// Sees to it that no edit which is a mistake is ever in force, not even in part.
async fn watch_models(gateway: SocketAddr, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::Relaxed) {
        let models = models(gateway).await;
        assert!(models.len() == 2 && models.contains(&"gpt-4o".to_owned()), "{models:?}");
        assert!(!models.iter().any(|model| model.starts_with("invalid")), "{models:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn report(mut taken: Vec<Duration>) {
    taken.sort();
    let (median, most) = (taken[taken.len() / 2], taken[taken.len() - 1]);
    println!("a valid edit was in force within {median:?} (median), {most:?} at most");
    let prompt = taken.iter().filter(|it| **it <= PROMPT).count();
    // A machine that others use stands still for a second now and then.
    assert!(prompt * 100 >= taken.len() * 95, "only {prompt} of {} edits were in force within {PROMPT:?}", taken.len());
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
