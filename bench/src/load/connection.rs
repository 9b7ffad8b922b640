//! One connection, and one call on it at a time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::answer::{Fault, Progress, Reader};
use super::expected::Expected;
use crate::socket::Scratch;

/// A request and what has to be answered.
pub(super) struct Exchange {
    pub(super) request: Bytes,
    pub(super) expected: Expected,
}

/// How long a call took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    /// To the first byte of the answer's body.
    pub(super) first: Duration,
    /// To its last byte.
    pub(super) whole: Duration,
}

/// What the connections are at.
#[derive(Default)]
pub(super) struct Activity {
    /// Those with a call that is not answered to its end.
    pub(super) calling: Gauge,
    /// Those of them that are inside the body of an answer.
    pub(super) answered: Gauge,
}

/// How many there are, and were at most.
#[derive(Default)]
pub(super) struct Gauge {
    now: Cell<usize>,
    most: Cell<usize>,
}

impl Gauge {
    pub(super) fn now(&self) -> usize {
        self.now.get()
    }

    pub(super) fn most(&self) -> usize {
        self.most.get()
    }

    /// One more, until what is returned is dropped.
    fn enter(&self) -> Inside<'_> {
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
        Inside(self)
    }
}

/// One that is counted.
struct Inside<'a>(&'a Gauge);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get() - 1);
    }
}

/// A connection, which is opened by its first call.
pub(super) struct Connection {
    pub(super) number: usize,
    /// How many calls it has made.
    pub(super) calls: usize,
    address: SocketAddr,
    stream: Option<TcpStream>,
    reader: Reader,
    scratch: Scratch,
    activity: Rc<Activity>,
}

impl Connection {
    pub(super) fn new(number: usize, address: SocketAddr, scratch: Scratch, activity: Rc<Activity>) -> Self {
        Self { number, calls: 0, address, stream: None, reader: Reader::default(), scratch, activity }
    }

    /// Makes a call and checks the answer.
    pub(super) async fn call(&mut self, exchange: &Exchange) -> Result<Took, Fault> {
        self.calls += 1;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        let _calling = self.activity.calling.enter();
        let began = Instant::now();
        stream.write_all(&exchange.request).await?;
        let mut first = None;
        loop {
            let reader = &mut self.reader;
            let feed =
                |data: &[u8]| if data.is_empty() { Err(Fault::Cut) } else { reader.feed(&exchange.expected, data) };
            let progress = self.scratch.read(stream, feed).await??;
            if progress == Progress::Head {
                continue;
            }
            let (first, _) = first.get_or_insert_with(|| (began.elapsed(), self.activity.answered.enter()));
            if progress == Progress::Over {
                return Ok(Took { first: *first, whole: began.elapsed() });
            }
        }
    }
}
