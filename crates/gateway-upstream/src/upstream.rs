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
use crate::exchange::{Failure, Patience, exchange};
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
        let patience = Patience { headers: limits.headers, deadline: limits.deadline.instant().into(), upload };
        let mut may_repeat = true;
        loop {
            let Lease { mut link, reused } = self.0.lease(limits.connect, patience.deadline, may_repeat).await?;
            self.0.address(&mut request, &link);
            // A new HTTP/1 connection leaves nothing to repeat: whatever it does is an answer or an error.
            let spare = if may_repeat && (reused || link.is_shared()) { copy(&request) } else { None };
            let (returned, error) = match exchange(&mut link, request, &patience).await {
                Ok(response) => return self.0.receive(response, link, patience),
                // A pooled connection that was dead already. It is gone from the pool, so this ends.
                Err(Failure::Unsent(request, error)) if reused => (Some(*request), error),
                Err(Failure::Unanswered(error)) if reused => {
                    may_repeat = false;
                    (spare, error)
                }
                Err(Failure::Unprocessed(error)) => {
                    may_repeat = false;
                    (spare, error)
                }
                Err(Failure::Unsent(_, error) | Failure::Unanswered(error) | Failure::Final(error)) => (None, error),
            };
            request = returned.ok_or(error)?;
        }
    }
}

/// A copy to send in case the connection turns out to be dead, or the peer not to have processed the request.
///
/// Costs two allocations for the header map. Parts are not shared instead because hyper takes the request as a value.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut spare = Request::new(request.body().try_clone()?);
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
}

/// A connection for one exchange.
struct Lease {
    link: Link,
    /// Whether it has served, or is serving, other exchanges.
    reused: bool,
}

/// A new connection, with the first stream of one that has streams.
enum Opened {
    H1(Box<H1>),
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
            return Ok(Lease { link, reused: true });
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
                Checkout::Ready(link) => return Ok(Lease { link, reused: true }),
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
        Ok(Lease { link, reused: false })
    }

    async fn connect(&self) -> Result<Opened, UpstreamError> {
        let Connected { socket, speaks_h2 } = self.connector.connect().await?;
        if !speaks_h2 {
            return Ok(Opened::H1(H1::open(socket, self.pool.disturbed()).await?));
        }
        let connection = Arc::new(H2::open(socket).await?);
        let stream = connection.claim().ok_or(UpstreamError::new(UpstreamErrorKind::Protocol))?;
        Ok(Opened::H2(connection, stream))
    }

    /// Addresses a request to the configured origin, in the form that the connection's protocol has for it.
    fn address(&self, request: &mut Request<RequestBody>, link: &Link) {
        let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        match link {
            Link::H1(_) => {
                // RFC 9112, section 3.2.1: origin-form, with the authority in `Host`.
                *request.uri_mut() = Uri::from(target);
                *request.version_mut() = Version::HTTP_11;
                request.headers_mut().insert(HOST, self.host.clone());
            }
            Link::H2(_) => {
                // RFC 9113, section 8.3.1: the authority stands in the URI only.
                let origin = self.connector.origin();
                let mut parts = http::uri::Parts::default();
                parts.scheme = Some(origin.scheme().clone());
                parts.authority = Some(origin.authority().clone());
                parts.path_and_query = Some(target);
                *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
                *request.version_mut() = Version::HTTP_2;
                request.headers_mut().remove(HOST);
            }
        }
    }

    fn receive(
        &self,
        response: Response<hyper::body::Incoming>,
        link: Link,
        patience: Patience,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let hold = Hold { link, pool: Arc::clone(&self.pool), upload: patience.upload };
        ResponseBody::decode(response.map(|incoming| Received::new(incoming, hold, patience.deadline)))
    }
}
