//! One connection: read a request, play its script, again.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::received::{BodyReader, ReceivedRequest, take_head};
use super::script::{Reads, Script, Step};
use super::{Log, Responder};

/// What follows a played script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    NextRequest,
    Close,
    Reset,
}

/// Serves one connection until its script or its peer closes it.
pub(super) async fn serve(mut stream: TcpStream, number: usize, log: watch::Sender<Log>) {
    // Errors are the peer going away, which the log says.
    let then = Conversation::new(&mut stream, number, &log).hold().await.unwrap_or(Then::Close);
    if then == Then::Reset {
        // It can only fail on a socket that is gone already.
        drop(stream.set_zero_linger());
    }
    drop(stream);
    log.send_modify(|log| log.connections[number].is_closed = true);
}

struct Conversation<'a> {
    read: ReadHalf<'a>,
    write: WriteHalf<'a>,
    /// Received and not yet understood.
    bytes: BytesMut,
    number: usize,
    log: &'a watch::Sender<Log>,
}

impl<'a> Conversation<'a> {
    fn new(stream: &'a mut TcpStream, number: usize, log: &'a watch::Sender<Log>) -> Self {
        let (read, write) = stream.split();
        Self { read, write, bytes: BytesMut::new(), number, log }
    }

    async fn hold(mut self) -> io::Result<Then> {
        loop {
            let script = match self.take_script(|script| script.reads == Reads::Nothing) {
                Some(script) => script,
                None => match self.receive().await? {
                    Some(script) => script,
                    None => return Ok(Then::Close),
                },
            };
            match self.play(script).await? {
                Then::NextRequest => self.note_busy(false),
                then => return Ok(then),
            }
        }
    }

    /// Takes the next script if it is one that is wanted.
    fn take_script(&self, is_wanted: impl Fn(&Script) -> bool) -> Option<Script> {
        let mut taken = None;
        self.log.send_if_modified(|log| {
            taken = log.scripts.front().is_some_and(&is_wanted).then(|| log.scripts.pop_front()).flatten();
            false
        });
        taken
    }

    fn note_busy(&self, is_busy: bool) {
        self.log.send_modify(|log| log.connections[self.number].is_busy = is_busy);
    }

    /// Reads and notes a request; gives the script for it. `None` if the peer closes, or if there is no script for it.
    async fn receive(&mut self) -> io::Result<Option<Script>> {
        let Some(head) = self.read_head().await? else { return Ok(None) };
        self.note_busy(true);
        let script = self.take_script(|_| true);
        let mut request = ReceivedRequest { connection: self.number, head, body: Bytes::new() };
        if script.as_ref().is_none_or(|script| script.reads == Reads::Whole) {
            request.body = self.read_body(&request).await?;
        }
        let respond = self.log.borrow().otherwise.clone();
        let script = script.or_else(|| respond.map(|Responder(respond)| respond(&request)));
        self.log.send_modify(|log| log.requests.push(request));
        Ok(script)
    }

    /// `None` if the peer closes before a whole head.
    async fn read_head(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(head) = take_head(&mut self.bytes) {
                return Ok(Some(head));
            }
            if self.read.read_buf(&mut self.bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn read_body(&mut self, request: &ReceivedRequest) -> io::Result<Bytes> {
        let mut reader = BodyReader::new(request);
        let mut body = BytesMut::new();
        while !reader.take(&mut self.bytes, &mut body) {
            if self.read.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(body.freeze())
    }

    /// Plays a script and watches for the peer's close at the same time. Bytes that arrive meanwhile stay for the next
    /// request; a script that leaves the request's body unread also stops reading here.
    async fn play(&mut self, script: Script) -> io::Result<Then> {
        let Self { read, write, bytes, number, log } = self;
        let watches = script.reads == Reads::Whole;
        let mut steps = std::pin::pin!(perform(script.steps, write, *number, log));
        loop {
            tokio::select! {
                biased;
                then = &mut steps => return then,
                received = read.read_buf(bytes), if watches => {
                    if received? == 0 {
                        return Ok(Then::Close);
                    }
                }
            }
        }
    }
}

async fn perform(
    steps: Vec<Step>,
    write: &mut WriteHalf<'_>,
    number: usize,
    log: &watch::Sender<Log>,
) -> io::Result<Then> {
    for step in steps {
        match step {
            Step::Write(bytes) => write_counted(write, &bytes, number, log).await?,
            Step::Pause(time) => sleep(time).await,
            Step::Wait(gate) => gate.pass().await,
            Step::Stall => std::future::pending().await,
            Step::Close => return Ok(Then::Close),
            Step::Reset => return Ok(Then::Reset),
        }
    }
    Ok(Then::NextRequest)
}

async fn write_counted(
    write: &mut WriteHalf<'_>,
    mut bytes: &[u8],
    number: usize,
    log: &watch::Sender<Log>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = write.write(bytes).await?;
        bytes = &bytes[written..];
        log.send_modify(|log| log.connections[number].written += written as u64);
    }
    Ok(())
}
