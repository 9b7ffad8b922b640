//! The upstream of counted calls, in the thread that makes them.
//!
//! Between two threads or two processes it would be chance whether an answer is there when the gateway first looks for it, and
//! a look in vain takes instructions. Here the gateway looks, then the upstream answers, then the gateway is woken, every time. What
//! the upstream takes is in the figures, always the same: 2,900 instructions a plain call, as it reads nothing of a request but where
//! it goes and where it ends, and has every answer written beforehand.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::bodies;

/// An upstream on a free port of 127.0.0.1.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// Leave to write the next part of an answer that comes in parts.
    pub leave: Arc<Semaphore>,
}

/// What is answered below a path: parts, the first at once and each other when there is leave.
type Answers = Vec<(String, Vec<String>)>;

impl Upstream {
    /// Listens, on the current runtime.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (answers, leave) = (Arc::new(answers()), Arc::new(Semaphore::new(0)));
        let given = Arc::clone(&leave);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&answers), Arc::clone(&given)));
            }
        });
        Ok(Self { address, leave })
    }
}

/// The paths at which streams come: so many frames, and whether they come together.
pub const STREAMS: [(&str, usize, bool); 4] =
    [("/together-64", 64, true), ("/together-32", 32, true), ("/alone-64", 64, false), ("/alone-32", 32, false)];

fn answers() -> Answers {
    let plain = |status, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
        vec![format!("{head}date: Tue, 19 Nov 2024 07:06:40 GMT\r\n\r\n{body}")]
    };
    let streams = STREAMS.map(|(path, frames, are_together)| (path.to_owned(), stream(frames, are_together)));
    let others = [("/plain", plain("200 OK", bodies::ANSWER)), ("/broken", plain("500 Oops", bodies::FAILURE))];
    streams.into_iter().chain(others.map(|(path, answer)| (path.to_owned(), answer))).collect()
}

/// A stream, each frame a chunk of its own as a server writes it (RFC 9112, section 7.1).
fn stream(frames: usize, are_together: bool) -> Vec<String> {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let mut parts = vec![chunk(bodies::FRAME); frames];
    parts[0].insert_str(0, HEAD);
    parts.push(chunk(bodies::LAST_FRAMES) + "0\r\n\r\n");
    if are_together { vec![parts.concat()] } else { parts }
}

/// Answers the requests of a connection until it ends.
async fn serve(mut socket: TcpStream, answers: Arc<Answers>, leave: Arc<Semaphore>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !is_whole(&request) {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        leave.forget_permits(usize::MAX);
        let target = request.split(|byte| *byte == b' ').nth(1).expect("a request line");
        let answer = answers.iter().find(|(path, _)| target.starts_with(path.as_bytes()));
        let (_, parts) = answer.expect("only the paths of answers are configured");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                leave.acquire().await.expect("it is never closed").forget();
            }
            socket.write_all(part.as_bytes()).await?;
        }
    }
}

/// Whether a request is here with its body. All of them have one, with a length.
fn is_whole(request: &[u8]) -> bool {
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let Some(head) = memmem::find(request, b"\r\n\r\n") else { return false };
    let at = memmem::find(&request[..head], LENGTH).expect("a body with a length") + LENGTH.len();
    let digits = request[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    request.len() >= head + 4 + length
}
