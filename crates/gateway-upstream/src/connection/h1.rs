//! One HTTP/1.1 connection.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::MAX_HEAD;
use crate::alarm::Alarm;
use crate::socket::{Hearing, Socket};
use crate::{RequestBody, UpstreamError, UpstreamErrorKind};

/// How long a connection may take from the end of an answer to being ready for the next request. It is a matter of
/// microseconds in which its task is polled; a request still being written is the exception that this cuts short.
const SETTLING: Duration = Duration::from_millis(2);

/// A connection that serves one exchange at a time.
///
/// Dropping it aborts its task and with it closes the socket, whatever the state of the exchange. hyper closes after a
/// dropped future or body as well, but first finishes or drains what it is at, which is not ours to depend on.
#[derive(Debug)]
pub(crate) struct H1 {
    pub(crate) sender: http1::SendRequest<RequestBody>,
    pub(crate) hearing: Arc<Hearing>,
    pub(crate) alarm: Alarm,
    _task: AbortOnDropHandle<()>,
}

impl H1 {
    pub(crate) async fn open(socket: Socket) -> Result<Self, UpstreamError> {
        let hearing = socket.hearing();
        let (sender, connection) = http1::Builder::new()
            .max_header_size(MAX_HEAD as usize)
            .handshake(TokioIo::new(socket.read_on_hang_up()))
            .await
            .map_err(|error| UpstreamError::with_source(UpstreamErrorKind::Connect, error))?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "upstream connection ended");
            }
        });
        Ok(Self { sender, hearing, alarm: Alarm::new(), _task: AbortOnDropHandle::new(task) })
    }

    /// Whether the next request can be sent now.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the next request can be sent; `None` if that takes longer than [`SETTLING`], or for ever.
    pub(crate) async fn settle(mut self) -> Option<Self> {
        timeout(SETTLING, self.sender.ready()).await.ok()?.ok()?;
        Some(self)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}
