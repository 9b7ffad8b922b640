//! The connections of callers: over either protocol, in clear or not.

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use gateway_tests::stage::{CHAT, authorized, with_header};
use gateway_tests::tls::{Certificate, NAME, Trust};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// How callers reach the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    address: SocketAddr,
    pub(crate) protocol: Protocol,
    /// None in clear, where HTTP/2 is known to be understood.
    trust: Option<Trust>,
}

/// A connection that calls can be made over: over HTTP/1.1 one at a time, over HTTP/2 any number, each by a clone.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Why there was no answer.
pub(crate) enum NoAnswer {
    /// The connection takes no calls any more, and nothing of this one has been sent.
    NotSent,
    /// The server has ended the connection without an error, and has said that it has not processed this call.
    NotTaken,
    /// Whatever else.
    Failed(String),
}

impl Way {
    pub(crate) fn in_clear(address: SocketAddr, protocol: Protocol) -> Self {
        Self { address, protocol, trust: None }
    }

    pub(crate) fn secured(address: SocketAddr, protocol: Protocol, certificate: &Certificate) -> Self {
        let name = match protocol {
            Protocol::Http1 => &b"http/1.1"[..],
            Protocol::Http2 => b"h2",
        };
        Self { address, protocol, trust: Some(certificate.trust(&[name])) }
    }

    pub(crate) async fn connect(&self) -> Result<Connection, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| format!("no connection: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        match &self.trust {
            None => Connection::over(stream, self.protocol).await,
            Some(trust) => {
                let secured = trust.secure(stream).await.map_err(|error| format!("no TLS: {error}"))?;
                Connection::over(secured, self.protocol).await
            }
        }
    }

    /// A call as this protocol writes it.
    pub(crate) fn request(&self, body: &'static str) -> Request<Full<Bytes>> {
        let mut request = authorized("POST", CHAT, body);
        match self.protocol {
            Protocol::Http1 => with_header(request, "host", NAME),
            Protocol::Http2 => {
                let scheme = if self.trust.is_some() { "https" } else { "http" };
                *request.uri_mut() = format!("{scheme}://{NAME}{CHAT}").parse().unwrap();
                request
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.protocol, if self.trust.is_some() { " over TLS" } else { "" })
    }
}

impl Connection {
    async fn over<IO>(io: IO, protocol: Protocol) -> Result<Self, String>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, no_handshake) = (TokioIo::new(io), |error| format!("no handshake: {error:?}"));
        match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await.map_err(no_handshake)?;
                tokio::spawn(connection);
                Ok(Self::Http1(sender))
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(no_handshake)?;
                tokio::spawn(connection);
                Ok(Self::Http2(sender))
            }
        }
    }

    /// The same connection for another call; none if it takes one at a time.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Whether it takes no further call, as far as is known here.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends a call, and waits for the head of its answer.
    pub(crate) async fn call(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NoAnswer> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(|error| NoAnswer::Failed(format!("the connection is closed: {error}")))?;
                sender.send_request(request).await.map_err(|error| NoAnswer::Failed(format!("no answer: {error:?}")))
            }
            Self::Http2(sender) => sender.try_send_request(request).await.map_err(NoAnswer::of_http2),
        }
    }
}

impl NoAnswer {
    /// A GOAWAY that names the last stream that was processed tells of those behind it that they may be made again, whatever
    /// they are (RFC 9113 sections 6.8 and 8.7). The server allows for those that are under way: it first says that it will go,
    /// and names a stream when that has come back to it. But a client may put its acknowledgement ahead of calls that it has
    /// begun, and the one used here does.
    fn of_http2(mut error: TrySendError<Request<Full<Bytes>>>) -> Self {
        if error.take_message().is_some() {
            return Self::NotSent;
        }
        let error = error.into_error();
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        let is_untaken =
            |cause: &h2::Error| cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR);
        if cause.is_some_and(is_untaken) { Self::NotTaken } else { Self::Failed(format!("no answer: {error:?}")) }
    }
}
