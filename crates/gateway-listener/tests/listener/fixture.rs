//! A listener with a service that tells what it saw, and clients that speak in bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_listener::{Certificates, Drained, Listener, ListenerConfig};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The size of the answer to `/large`: more than the socket buffers of both ends hold.
pub(crate) const LARGE: usize = 32 * 1024 * 1024;

type TestBody = UnsyncBoxBody<Bytes, Infallible>;

/// What the service is told and tells.
#[derive(Clone)]
pub(crate) struct Probe {
    /// `METHOD path body` of every call whose body was read, or `METHOD path !` if reading it failed.
    seen: watch::Sender<Vec<String>>,
    /// A permit lets one call to `/hold` answer.
    pub(crate) release: Arc<Semaphore>,
    /// The frames of the answer to `/stream`.
    frames: Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>,
}

struct ChannelBody(mpsc::Receiver<Bytes>);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

impl Service<Request<Incoming>> for Probe {
    type Response = Response<TestBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let probe = self.clone();
        Box::pin(async move { Ok(probe.answer(request).await) })
    }
}

impl Probe {
    pub(crate) fn new() -> (Self, mpsc::Sender<Bytes>) {
        let (frames, receiver) = mpsc::channel(16);
        let probe = Self {
            seen: watch::Sender::new(Vec::new()),
            release: Arc::new(Semaphore::new(0)),
            frames: Arc::new(Mutex::new(Some(receiver))),
        };
        (probe, frames)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    pub(crate) async fn wait_for_calls(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        timeout(PATIENCE, seen.wait_for(|seen| seen.len() >= count)).await.expect("too few calls").unwrap();
    }

    async fn answer(self, request: Request<Incoming>) -> Response<TestBody> {
        let line = format!("{} {}", request.method(), request.uri().path());
        if request.uri().path() == "/unread" {
            self.seen.send_modify(|seen| seen.push(line));
            return status(StatusCode::PAYLOAD_TOO_LARGE, "too large");
        }
        if request.uri().path() == "/large" {
            self.seen.send_modify(|seen| seen.push(line));
            return status(StatusCode::OK, &"x".repeat(LARGE));
        }
        if request.uri().path() == "/unread-until-released" {
            self.seen.send_modify(|seen| seen.push(line));
            self.release.acquire().await.unwrap().forget();
            return status(StatusCode::OK, "released");
        }
        let hold = request.uri().path() == "/hold";
        let stream = request.uri().path() == "/stream";
        let text = match request.into_body().collect().await {
            Ok(body) => format!("{line} {}", String::from_utf8_lossy(&body.to_bytes())),
            Err(_) => format!("{line} !"),
        };
        self.seen.send_modify(|seen| seen.push(text.clone()));
        if hold {
            self.release.acquire().await.unwrap().forget();
        }
        if stream {
            let frames = self.frames.lock().take().unwrap();
            return Response::new(ChannelBody(frames).boxed_unsync());
        }
        status(StatusCode::OK, &text)
    }
}

fn status(status: StatusCode, text: &str) -> Response<TestBody> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// A listener that serves a probe.
pub(crate) struct Server {
    pub(crate) probe: Probe,
    pub(crate) frames: mpsc::Sender<Bytes>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) certificates: Option<Certificates>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ListenerConfig)) -> Self {
        let mut config = ListenerConfig::new("127.0.0.1:0");
        config.drain_timeout = PATIENCE;
        config.idle_grace = Duration::from_millis(100);
        change(&mut config);
        Self::of(Listener::bind(&config).await.unwrap())
    }

    pub(crate) fn of(listener: Listener) -> Self {
        let address = listener.local_addr();
        let certificates = listener.certificates();
        let (probe, frames) = Probe::new();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(listener.serve(probe.clone(), async move { drop(stopped.await) }));
        Self { probe, frames, address, certificates, stop, task }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Asks the listener to stop; the handle resolves when it has.
    pub(crate) fn stop(self) -> JoinHandle<Drained> {
        self.stop_streaming().1
    }

    /// The same, while the answer to `/stream` goes on.
    pub(crate) fn stop_streaming(self) -> (mpsc::Sender<Bytes>, JoinHandle<Drained>) {
        self.stop.send(()).unwrap();
        (self.frames, self.task)
    }
}

/// A client that writes and reads bytes.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until what was read contains `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains(end) {
            let read = timeout(PATIENCE, self.0.read_buf(&mut text)).await;
            let read = read.unwrap_or_else(|_| panic!("no {end:?} in {:?}", String::from_utf8_lossy(&text)));
            assert_ne!(read.unwrap(), 0, "closed before {end:?}: {:?}", String::from_utf8_lossy(&text));
        }
        String::from_utf8(text).unwrap()
    }

    /// Reads until the server closes in order; a reset fails the test.
    pub(crate) async fn read_to_close(&mut self) -> String {
        let mut text = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut text)).await.expect("not closed").expect("reset");
        String::from_utf8(text).unwrap()
    }
}
