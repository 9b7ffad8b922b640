//! Edits of a file under streams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gateway_testing::Script;
use tokio::task::JoinSet;

use crate::edited::{Scene, file, models, with_model};
use crate::stream::{DONE, Events, event, finish, text};

/// How many streams there are at a time.
pub const STREAMS: usize = 200;

/// The events of a stream; at this pace it lasts a second, so that each edit finds streams that are old and some that are new.
const EVENTS: usize = 20;
const PACE: Duration = Duration::from_millis(50);

/// What became of a storm in which nothing went wrong.
#[derive(Debug)]
pub struct Storm {
    /// How many streams came whole.
    pub streams: usize,
    /// How long each valid edit took to be in force, as a caller sees it, sorted.
    in_force: Vec<Duration>,
}

impl Storm {
    /// Edits the file so often under streams, of which none may notice. Every other edit is a mistake; every other pair of edits
    /// is written in place, the others are renamed into it. Edits are numbered from `first`. Panics if a stream is not whole, if a
    /// valid edit does not come into force, or if a mistake does.
    pub async fn rage(scene: &Scene, edits: usize, first: usize) -> Self {
        scene.site.upstream.otherwise(|_| stream());
        let is_over = Arc::new(AtomicBool::new(false));
        let whole = Arc::new(AtomicUsize::new(0));
        let gateway = scene.node.process.address();
        let mut tasks = JoinSet::new();
        for _ in 0..STREAMS {
            tasks.spawn(stream_on(gateway, Arc::clone(&is_over), Arc::clone(&whole)));
        }
        tasks.spawn(watch_models(gateway, Arc::clone(&is_over)));
        let mut in_force = Vec::new();
        for number in first..first + edits {
            in_force.extend(edit(scene, number).await);
        }
        in_force.sort_unstable();
        is_over.store(true, Ordering::Relaxed);
        // A task that has panicked fails here.
        while let Some(done) = tasks.join_next().await {
            done.expect("a stream, or a look at the models");
        }
        let streams = whole.load(Ordering::Relaxed);
        assert!(streams >= STREAMS, "{streams} streams");
        Self { streams, in_force }
    }

    /// How many valid edits there were.
    pub fn edits(&self) -> usize {
        self.in_force.len()
    }

    /// Within what time so many percent of the valid edits were in force; zero if there were none.
    pub fn within(&self, percent: usize) -> Duration {
        let last = self.in_force.len().saturating_sub(1);
        self.in_force.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// Gives how long it took to be in force, if it is to be.
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
    let payload: serde_json::Value =
        serde_json::from_str(event.strip_prefix("data: ").expect("an event of the stream"))
            .expect("an event of the stream");
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
