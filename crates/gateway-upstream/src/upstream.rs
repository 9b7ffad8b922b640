//! One provider's origin: from a request to the head of its answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, Version};
use tokio::time::{Instant, timeout_at};

use crate::alarm::within;
use crate::connect::{Connected, Connector};
use crate::connection::{H1, H2, H2Stream, Link, drive};
use crate::exchange::{Failure, Patience, exchange_h1, exchange_h2};
use crate::pool::{Checkout, Dialing, Pool};
use crate::response::{Hold, Received};
use crate::{
    BuildError, ExtraRoots, Origin, RequestBody, ResponseBody, SendLimits, UpstreamError, UpstreamErrorKind, tls,
};

/// How one upstream is reached.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Where it lives. Requests go there whatever authority their URI names.
    pub origin: Origin,
    /// Whether its certificate has to be valid for the host; `false` accepts any, and with it anybody in between.
    pub verify_certificates: bool,
    /// Roots trusted beside the public ones. Give clones of one value to all upstreams.
    pub extra_roots: Option<ExtraRoots>,
    /// Idle connections kept at most; 0 keeps none.
    pub max_idle: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

impl UpstreamConfig {
    /// The defaults for an origin: certificates verified, at most 256 idle connections, each for 50 s.
    ///
    /// 50 s is shorter than the 60 s after which AWS load balancers close an idle connection, and the 75 s of nginx, so
    /// that it is we who close it and no request crosses with the other side's close.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            verify_certificates: true,
            extra_roots: None,
            max_idle: 256,
            idle_timeout: Duration::from_secs(50),
        }
    }
}

/// One provider's origin and its connections. Cheap to clone; clones share the pool.
///
/// Use it through [`Upstream::send`].
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: Connector,
    host: HeaderValue,
    pool: Arc<Pool>,
}

impl Upstream {
    /// An upstream without any connection yet. Connections are opened by calls, inside their tokio runtime.
    pub fn new(config: UpstreamConfig) -> Result<Self, BuildError> {
        let UpstreamConfig { origin, verify_certificates, extra_roots, max_idle, idle_timeout } = config;
        let host = origin.host_header()?;
        let pool = Arc::new(Pool::new(max_idle, idle_timeout, origin.is_https()));
        let settings = tls::client_config(verify_certificates, extra_roots.as_ref())?;
        let connector = Connector::new(origin, settings)?;
        Ok(Self(Arc::new(Shared { connector, host, pool })))
    }

    /// Sends one request and waits for the head of its answer.
    ///
    /// The URI of the request may be absolute or a path; only its path and query are used. A `Host` header of it is
    /// replaced. Dropping the future abandons the exchange: the upstream sees the connection close, or the stream
    /// reset, at once.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        limits: SendLimits,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let upload = request.body().upload();
        let can_repeat = upload.is_none();
        let (headers, deadline) = (limits.headers, limits.deadline.instant().into());
        let mut is_first = true;
        loop {
            let Lease { mut link, reused, at } = self.0.lease(limits.connect, deadline, is_first).await?;
            let patience = Patience { since: at, headers, deadline, upload: upload.clone() };
            let answered = match &mut link {
                Link::H1(connection) => exchange_h1(connection, &mut request, &self.0.host, &patience).await,
                Link::H2(stream) => {
                    let addressed = self.0.address(&mut request);
                    exchange_h2(stream, addressed, request.body_mut(), &patience).await
                }
            };
            match answered {
                Ok(head) => return self.0.receive(head, link, patience),
                // A pooled connection that was dead already. It is gone from the pool, so this ends.
                Err(Failure::Unsent(_)) if reused => {}
                Err(Failure::Unanswered(_)) if reused && is_first && can_repeat => is_first = false,
                Err(Failure::Unprocessed(_)) if is_first && can_repeat => is_first = false,
                Err(
                    Failure::Unsent(error)
                    | Failure::Unprocessed(error)
                    | Failure::Unanswered(error)
                    | Failure::Final(error),
                ) => return Err(error),
            }
        }
    }
}

/// A connection for one exchange.
struct Lease {
    link: Link,
    /// Whether it has served, or is serving, other exchanges.
    reused: bool,
    /// When it was there.
    at: Instant,
}

/// A new connection, with the first stream of one that has streams.
enum Opened {
    H1(H1),
    H2(Arc<H2>, H2Stream),
}

impl Shared {
    /// A connection from the pool, or a new one; always a new one where `pooled` is false.
    async fn lease(&self, connect: Duration, deadline: Instant, pooled: bool) -> Result<Lease, UpstreamError> {
        let now = Instant::now();
        if now >= deadline {
            return Err(UpstreamError::new(UpstreamErrorKind::TotalTimeout));
        }
        if pooled && let Some(link) = self.pool.take_ready(now) {
            return Ok(Lease { link, reused: true, at: now });
        }
        // Boxed because a handshake is large, and the future of every call would carry its size.
        let opening = Box::pin(self.open(connect, pooled));
        timeout_at(within(now, connect, deadline), opening).await.unwrap_or_else(|_elapsed| {
            let past_deadline = Instant::now() >= deadline;
            Err(UpstreamError::new(if past_deadline {
                UpstreamErrorKind::TotalTimeout
            } else {
                UpstreamErrorKind::ConnectTimeout
            }))
        })
    }

    /// A new connection, or one that becomes free before it is needed.
    async fn open(&self, connect: Duration, pooled: bool) -> Result<Lease, UpstreamError> {
        if !pooled {
            return self.dial(None, connect).await;
        }
        loop {
            match self.pool.checkout() {
                Checkout::Ready(link) => return Ok(Lease { link, reused: true, at: Instant::now() }),
                Checkout::Dial(dialing) => return self.dial(dialing, connect).await,
                Checkout::Wait(dialed) => dialed.ended().await?,
            }
        }
    }

    async fn dial(&self, dialing: Option<Dialing>, connect: Duration) -> Result<Lease, UpstreamError> {
        let link = match self.connect().await {
            Ok(Opened::H1(connection)) => {
                self.pool.stop_sharing();
                Link::H1(connection)
            }
            Ok(Opened::H2(connection, stream)) => {
                tokio::spawn(drive(connection, Arc::clone(&self.pool), dialing, connect));
                Link::H2(stream)
            }
            Err(error) => {
                if let Some(dialing) = dialing {
                    dialing.fail(error.kind());
                }
                return Err(error);
            }
        };
        Ok(Lease { link, reused: false, at: Instant::now() })
    }

    async fn connect(&self) -> Result<Opened, UpstreamError> {
        let Connected { socket, speaks_h2 } = self.connector.connect().await?;
        if !speaks_h2 {
            return Ok(Opened::H1(H1::new(socket)));
        }
        let connection = Arc::new(H2::open(socket).await?);
        let stream = connection.claim().ok_or(UpstreamError::new(UpstreamErrorKind::Protocol))?;
        Ok(Opened::H2(connection, stream))
    }

    /// The request as HTTP/2 has it: the authority stands in the URI only (RFC 9113, section 8.3.1).
    ///
    /// A body that can be sent again is copied, because hyper takes what it sends, and the peer may refuse to process it.
    fn address(&self, request: &mut Request<RequestBody>) -> Request<RequestBody> {
        let origin = self.connector.origin();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(origin.scheme().clone());
        parts.authority = Some(origin.authority().clone());
        parts.path_and_query = Some(request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
        let body = request.body().try_clone().unwrap_or_else(|| std::mem::take(request.body_mut()));
        let mut addressed = Request::new(body);
        *addressed.method_mut() = request.method().clone();
        *addressed.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        *addressed.version_mut() = Version::HTTP_2;
        *addressed.headers_mut() = request.headers().clone();
        addressed.headers_mut().remove(HOST);
        addressed
    }

    fn receive(
        &self,
        head: Response<()>,
        link: Link,
        patience: Patience,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let hold = Hold { link, pool: Arc::clone(&self.pool), upload: patience.upload };
        ResponseBody::decode(head.map(|()| Received::new(hold, patience.deadline)))
    }
}
