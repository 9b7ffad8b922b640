//! What to do with one request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::watch;

/// What to do with one request: steps in order. A script that ends keeps the connection open for the next request.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub(super) reads: Reads,
    pub(super) steps: Vec<Step>,
}

/// How much of the request is read before the first step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reads {
    Nothing,
    Head,
    #[default]
    Whole,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Write(Bytes),
    Pause(Duration),
    Wait(Gate),
    Stall,
    Close,
    Reset,
}

/// A point in a script that a test opens. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets every script through that waits here, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        // The sender lives in `self`, so the wait ends only when the gate opens.
        drop(self.0.subscribe().wait_for(|is_open| *is_open).await);
    }
}

impl Script {
    /// A script without steps: reads the request and says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A script that begins when the connection is accepted (or its previous request was answered), reading nothing.
    pub fn without_reading() -> Self {
        Self { reads: Reads::Nothing, ..Self::default() }
    }

    /// A script that begins when the request's head was read; its body stays unread.
    pub fn after_head() -> Self {
        Self { reads: Reads::Head, ..Self::default() }
    }

    /// A whole answer of JSON with its `content-length`.
    pub fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::new().answer(status, "application/json", body)
    }

    /// The head of a chunked event stream; [`chunk`](Self::chunk)s follow, and [`end_chunks`](Self::end_chunks).
    pub fn event_stream() -> Self {
        Self::new().write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
        )
    }

    /// A whole event stream: a chunk for each piece of data, framed as `data: …` and an empty line.
    pub fn events<'a>(data: impl IntoIterator<Item = &'a str>) -> Self {
        data.into_iter().fold(Self::event_stream(), Self::event).end_chunks()
    }

    /// Writes a whole answer with its `content-length`.
    pub fn answer(self, status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let reason =
            StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown");
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.write([head.as_bytes(), body].concat())
    }

    /// Writes bytes as they are, in one piece.
    pub fn write(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Write(bytes.into()))
    }

    /// Writes one chunk of a chunked body.
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.write([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
    }

    /// Writes one chunk with one event: `data: …` and an empty line.
    pub fn event(self, data: &str) -> Self {
        self.chunk(format!("data: {data}\n\n"))
    }

    /// Ends a chunked body.
    pub fn end_chunks(self) -> Self {
        self.write("0\r\n\r\n")
    }

    /// Waits for a fixed time. A [`wait`](Self::wait) is better wherever the test can say when to go on.
    pub fn pause(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Waits until the gate is open.
    pub fn wait(self, gate: &Gate) -> Self {
        self.step(Step::Wait(gate.clone()))
    }

    /// Says nothing more, until the peer closes the connection.
    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    /// Closes the connection in order (FIN).
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Resets the connection (RST).
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
