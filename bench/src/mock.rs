//! The upstream: hand-written HTTP/1.1 over a socket, with answers that were made at the start.
//!
//! It does as little as an upstream can, so that it is never what limits a run: a request is looked at for where it ends and which
//! model it names, its body is thrown away as it is read, and an answer is one write, or one for each frame of a stream.

mod request;

use std::io;
use std::rc::Rc;

use anyhow::Result;
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task;
use tokio::time::{Instant, sleep_until};

use crate::exchange::{self, Kind};
use crate::serving;
use crate::socket::Scratch;
use request::Reading;

/// What the upstream can say.
struct Answers {
    plain: Bytes,
    stream_head: Bytes,
    burst: Vec<Bytes>,
    slow: Vec<Bytes>,
    idle: Vec<Bytes>,
    /// To a request that is none of ours.
    refusal: Bytes,
}

impl Answers {
    fn new() -> Self {
        let chunks = |kind: Kind| {
            let frames = exchange::frames(kind, &kind.upstream_model());
            let last = frames.len() - 1;
            let end = |at: usize| if at == last { "0\r\n\r\n" } else { "" };
            let chunk = |(at, frame): (usize, &String)| format!("{:x}\r\n{frame}\r\n{}", frame.len(), end(at)).into();
            frames.iter().enumerate().map(chunk).collect()
        };
        Self {
            plain: exchange::plain_answer().into(),
            stream_head: exchange::stream_head().into(),
            burst: chunks(Kind::Burst),
            slow: chunks(Kind::Slow),
            idle: chunks(Kind::Idle),
            refusal: Bytes::from_static(
                b"HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            ),
        }
    }

    fn chunks(&self, kind: Kind) -> &[Bytes] {
        match kind {
            Kind::Plain => &[],
            Kind::Burst => &self.burst,
            Kind::Slow => &self.slow,
            Kind::Idle => &self.idle,
        }
    }
}

/// Serves until the process ends.
pub(crate) fn run() -> Result<()> {
    serving::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        serving::announce(listener.local_addr()?)?;
        let (answers, scratch) = (Rc::new(Answers::new()), Scratch::new());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (answers, scratch) = (Rc::clone(&answers), scratch.clone());
            task::spawn_local(async move {
                // A proxy may close a connection at any time; whether answers arrive is for the load to say.
                let _ = serve(stream, &answers, &scratch).await;
            });
        }
    })
}

async fn serve(mut stream: TcpStream, answers: &Answers, scratch: &Scratch) -> io::Result<()> {
    let mut reading = Reading::default();
    loop {
        let asked = loop {
            match scratch
                .read(&mut stream, |data| if data.is_empty() { None } else { Some(reading.feed(data)) })
                .await?
            {
                None => return Ok(()),
                Some(Ok(None)) => {}
                Some(Ok(Some(kind))) => break kind,
                Some(Err(_)) => return stream.write_all(&answers.refusal).await,
            }
        };
        if asked == Kind::Plain {
            stream.write_all(&answers.plain).await?;
        } else {
            stream_out(&mut stream, answers, asked).await?;
        }
    }
}

async fn stream_out(stream: &mut TcpStream, answers: &Answers, kind: Kind) -> io::Result<()> {
    stream.write_all(&answers.stream_head).await?;
    let mut due = Instant::now();
    for (number, chunk) in answers.chunks(kind).iter().enumerate() {
        // What follows the last content comes along with it, as it does from providers.
        if number > 0 && number < kind.frames() && !kind.pause().is_zero() {
            due += kind.pause();
            sleep_until(due).await;
        }
        stream.write_all(chunk).await?;
    }
    Ok(())
}
