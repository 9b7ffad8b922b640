//! The hyper service: who may come in, and where to.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use gateway_secret::{KeyDigest, Secret};
use http::{HeaderMap, Method, Request, Response, header};
use http_body::Body;
use http_body_util::Full;

use crate::body;
use crate::configuration::{Configuration, Prober};
use crate::endpoint::{Asked, Found, find};
use crate::entries::StoredEntries;
use crate::error::AdminError;
use crate::master_keys::MasterKeys;
use crate::reply::Reply;
use crate::swagger_ui;
use crate::usage::UsageReports;

/// Below this an admin key can be guessed and opens nothing, in characters.
const MIN_KEY: usize = 12;

/// The admin API as a hyper service; cheap to clone, one serves any number of connections.
#[derive(Clone)]
pub struct AdminService {
    parts: Arc<Parts>,
}

/// What the service works with.
pub struct Parts {
    /// The configuration of this process, the admin key in it. Without one, or with one of under 12 characters, the service
    /// opens to nobody, and says how to change that.
    pub configuration: Arc<dyn Configuration>,
    /// The callers' keys.
    pub keys: MasterKeys,
    /// The store's providers and models.
    pub entries: StoredEntries,
    /// What calls took.
    pub usage: UsageReports,
    /// Who sends requests to providers.
    pub prober: Arc<dyn Prober>,
}

impl AdminService {
    /// A service of these parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Whether a path is this service's, also if there is nothing at it.
    pub fn handles(path: &str) -> bool {
        let is_below =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_below("/admin") || is_below("/api/keys") || swagger_ui::handles(path)
    }

    /// Whether these are the headers of an administrator, for what administrators may see elsewhere.
    pub fn knows(&self, headers: &HeaderMap) -> bool {
        self.key().is_some_and(|key| authenticate(headers, key).is_ok())
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let reply = self.reply(request).await.unwrap_or_else(|error| {
            if let Some(cause) = error.hidden_cause() {
                tracing::warn!(error = cause, "an administrator's request failed");
            }
            error.reply()
        });
        reply.into_response()
    }

    async fn reply<B>(&self, request: Request<B>) -> Result<Reply, AdminError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let key = self.key().ok_or(AdminError::SwitchedOff)?;
        if matches!(head.method, Method::GET | Method::HEAD)
            && let Some(page) = swagger_ui::find(head.uri.path(), &head.headers).await
        {
            return Ok(page);
        }
        // First of all: whoever has no key learns nothing, not even which paths there are.
        authenticate(&head.headers, key)?;
        let Found { handler, id } = find(&head.method, head.uri.path())?;
        let has_body = matches!(head.method.as_str(), "POST" | "PUT" | "PATCH");
        let body = if has_body { body::read(&head.headers, body).await? } else { Bytes::new() };
        let query = head.uri.query().unwrap_or_default();
        handler(&self.parts, Asked { id: &id, query, body: &body }).await
    }

    /// The digest of the admin key that is in force; without one nobody gets in.
    fn key(&self) -> Option<KeyDigest> {
        let config = self.parts.configuration.config();
        let key = config.admin.key.as_ref().map(Secret::expose).filter(|key| key.chars().count() >= MIN_KEY);
        key.map(|key| KeyDigest::of(key.as_bytes()))
    }
}

fn authenticate(headers: &HeaderMap, key: KeyDigest) -> Result<(), AdminError> {
    let presented = presented_key(headers).ok_or(AdminError::MissingKey)?;
    // Equality of digests takes the same time wherever they differ.
    if KeyDigest::of(presented) == key { Ok(()) } else { Err(AdminError::WrongKey) }
}

/// The token of the one `authorization: Bearer TOKEN` (RFC 6750, section 2.1; the scheme's name in any case, RFC 9110,
/// section 11.1). Several are none.
fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

impl<B> hyper::service::Service<Request<B>> for AdminService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

impl fmt::Debug for AdminService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminService").field("is_switched_on", &self.key().is_some()).finish_non_exhaustive()
    }
}
