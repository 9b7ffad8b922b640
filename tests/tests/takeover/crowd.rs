//! Callers who never stop calling, each in a way of its own.

use std::sync::Arc;
use std::time::Duration;

use gateway_testing::Script;
use gateway_tests::clock::now;
use gateway_tests::patience::{PATIENCE, until};
use gateway_tests::site::Site;
use gateway_tests::stage::CALL;
use gateway_tests::stream::{STREAMED_CALL, finish, text};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, NoAnswer, Protocol, Way};

/// The events of a stream, and how far they are apart.
const EVENTS: usize = 10;
const PACE: Duration = Duration::from_millis(40);

/// How a caller calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A connection for each call.
    Fresh,
    /// One connection, for as long as the server keeps it open; over HTTP/2 one for all of these callers together.
    Kept,
    /// Streams, a connection for each; over HTTP/2 one for all of these callers together, as long as the server takes streams
    /// there.
    Streamed,
}

/// What callers of one manner have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) calls: usize,
    pub(crate) connections: usize,
    /// Answers over HTTP/2 that came whole although their connection took no further calls by then.
    pub(crate) outlasting: usize,
    /// Calls of which nothing was sent, because the connection took no further calls in that moment. They were made over
    /// another one.
    pub(crate) unsent: usize,
    /// Calls that the server told of, with the end of the connection, that it has not taken them and will not. They were made
    /// over another one.
    pub(crate) untaken: usize,
    pub(crate) longest: Duration,
    pub(crate) failures: Vec<String>,
}

/// Callers who go on until they are told to stop.
pub(crate) struct Crowd {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    seen: [(Manner, Arc<Mutex<Seen>>); 3],
}

/// Lets the upstream answer every call, streamed or not.
pub(crate) fn prepare(site: &Site) {
    site.upstream.otherwise(|request| {
        if !request.body.windows(8).any(|part| part == b"\"stream\"") {
            return Script::json(200, "{}");
        }
        let numbered = |number: usize| text(&number.to_string());
        let stream = (0..EVENTS).fold(Script::event_stream(), |script, it| script.event(&numbered(it)).pause(PACE));
        stream.event(&finish()).event("[DONE]").end_chunks()
    });
}

impl Crowd {
    /// So many callers of each manner begin to call.
    pub(crate) fn gather(way: &Way, each: usize) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let seen = [Manner::Fresh, Manner::Kept, Manner::Streamed].map(|manner| (manner, Arc::default()));
        for (manner, seen) in &seen {
            let shared = Place::default();
            for _ in 0..each {
                let place = if way.protocol == Protocol::Http2 { Arc::clone(&shared) } else { Place::default() };
                let caller = Caller { way: way.clone(), manner: *manner, seen: Arc::clone(seen), place };
                tasks.spawn(caller.call_until(stop.clone()));
            }
        }
        Self { stop, tasks, seen }
    }

    /// How many calls have been answered so far.
    pub(crate) fn calls(&self) -> usize {
        self.seen.iter().map(|(_, seen)| seen.lock().calls).sum()
    }

    /// Stops everybody and gives what they have seen.
    pub(crate) async fn disperse(mut self) -> Vec<(Manner, Seen)> {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
        self.seen.map(|(manner, seen)| (manner, std::mem::take(&mut *seen.lock()))).into()
    }
}

/// Where a connection is between calls. Held while another is made, so that those who share it make one.
type Place = Arc<tokio::sync::Mutex<Option<Connection>>>;

struct Caller {
    way: Way,
    manner: Manner,
    seen: Arc<Mutex<Seen>>,
    place: Place,
}

impl Caller {
    async fn call_until(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let began = now();
            let called = self.call().await;
            let mut seen = self.seen.lock();
            seen.calls += 1;
            seen.longest = seen.longest.max(began.elapsed());
            seen.failures.extend(called.err());
        }
    }

    /// Makes one call. Whatever goes wrong is a call that has failed, but for what a client may repeat at any time.
    async fn call(&self) -> Result<(), String> {
        let body = if self.manner == Manner::Streamed { STREAMED_CALL } else { CALL };
        let (answer, connection) = loop {
            let mut connection = in_time("no connection", self.connection()).await??;
            match in_time("no answer", connection.call(self.way.request(body))).await? {
                Ok(answer) => break (answer, connection),
                Err(NoAnswer::NotSent) => self.seen.lock().unsent += 1,
                Err(NoAnswer::NotTaken) => self.seen.lock().untaken += 1,
                Err(NoAnswer::Failed(error)) => return Err(error),
            }
        };
        let (head, body) = answer.into_parts();
        let body = in_time("no end of the answer", body.collect()).await?;
        let body = body.map_err(|error| format!("the answer broke off: {error:?}"))?.to_bytes();
        let body = String::from_utf8_lossy(&body);
        if head.status != 200 {
            return Err(format!("{}: {body}", head.status));
        }
        if self.manner == Manner::Streamed && !is_whole(&body) {
            return Err(format!("the stream is not whole: {body}"));
        }
        match self.way.protocol {
            Protocol::Http2 => self.seen.lock().outlasting += usize::from(connection.is_closed()),
            Protocol::Http1 => {
                let is_kept = head.headers.get("connection").is_none_or(|it| it != "close");
                *self.place.lock().await = Some(connection).filter(|_| is_kept && self.manner == Manner::Kept);
            }
        }
        Ok(())
    }

    /// A connection for a call: the one that is kept, or a new one.
    async fn connection(&self) -> Result<Connection, String> {
        let mut place = self.place.lock().await;
        if let Some(kept) = place.take() {
            *place = kept.share();
            // Over HTTP/1 the server has promised to keep it; that it did not is a call that has failed.
            if place.is_none() || !kept.is_closed() {
                return Ok(kept);
            }
        }
        let connection = self.way.connect().await?;
        self.seen.lock().connections += 1;
        if self.manner != Manner::Fresh {
            *place = connection.share();
        }
        Ok(connection)
    }
}

/// Waits for something no longer than anything takes that works.
async fn in_time<T>(missing: &str, awaited: impl Future<Output = T>) -> Result<T, String> {
    timeout(PATIENCE, awaited).await.map_err(|_| format!("{missing} within {PATIENCE:?}"))
}

/// Whether a stream has come from its first event to its last.
fn is_whole(stream: &str) -> bool {
    stream.ends_with("data: [DONE]\n\n") && stream.matches("\"content\"").count() >= EVENTS
}

/// Prints what was seen, and fails if any call has failed.
pub(crate) fn conclude(title: &str, seen: &[(Manner, Seen)]) {
    println!(
        "{title}\n| callers  |  calls | failed | longest | connections | outlasting | not sent | not taken |\n\
         |----------|-------:|-------:|--------:|------------:|-----------:|---------:|----------:|"
    );
    for (manner, Seen { calls, connections, outlasting, unsent, untaken, longest, failures }) in seen {
        println!(
            "| {:<8} | {calls:>6} | {:>6} | {:>4} ms | {connections:>11} | {outlasting:>10} | {unsent:>8} | {untaken:>9} |",
            format!("{manner:?}"),
            failures.len(),
            longest.as_millis()
        );
    }
    for (manner, seen) in seen {
        assert!(seen.failures.is_empty(), "{manner:?}: {:#?}", seen.failures);
        assert!(seen.calls > 0, "{manner:?}");
    }
}

/// Passes once the crowd has got so many more answers.
pub(crate) async fn more_calls(crowd: &Crowd, more: usize) {
    let wanted = crowd.calls() + more;
    let enough = async || (crowd.calls() >= wanted).then_some(());
    until("more calls", enough).await;
}
