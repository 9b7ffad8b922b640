//! Swagger UI, from inside this program: pages that show the API's document and try it out.
//!
//! A browser cannot present the admin key to open a page, so the pages and the document are served without it. They hold
//! nothing that is not in the source code; what is tried out on them needs the key like any other request.

mod negotiation;

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, LazyLock};

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::io::AsyncReadExt;
use utoipa_swagger_ui::{Config, serve};

use crate::openapi;
use crate::reply::Reply;

/// Where the document is.
const DOCUMENT: &str = "/openapi.json";
/// Where the pages are.
const PAGES: &str = "/swagger-ui";

/// What the pages may do: run their own script and show the document. Their styles and pictures are partly written inline.
/// Nobody may put them into a frame, where the admin key that is typed into them could be phished for.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether the path is one of these, also if there is nothing at it.
pub(crate) fn handles(path: &str) -> bool {
    path == DOCUMENT || path.strip_prefix(PAGES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is at the path, for a request with these headers; none if there is nothing.
pub(crate) async fn find(path: &str, headers: &HeaderMap) -> Option<Reply> {
    let reply = match path {
        DOCUMENT => {
            let text = openapi::text();
            let tag = entity_tag(&text, "");
            let reply = Reply::text(HeaderValue::from_static("application/json"), text);
            // It changes with the program.
            with(reply, [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")), (header::ETAG, tag)])
        }
        PAGES => {
            let location = HeaderValue::from_static("/swagger-ui/");
            with(Reply::empty(StatusCode::PERMANENT_REDIRECT), [(header::LOCATION, location)])
        }
        _ => page(path.strip_prefix(PAGES)?.strip_prefix('/')?, headers).await?,
    };
    let is_known = reply.headers.get(header::ETAG).is_some_and(|tag| negotiation::knows(headers, tag));
    Some(if is_known { reply.not_modified() } else { reply })
}

async fn page(name: &str, headers: &HeaderMap) -> Option<Reply> {
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::from(DOCUMENT).validator_url("none").try_it_out_enabled(true)));
    // `/` would be taken for the page. The variants for other programs, which are in the package as well, nobody needs.
    if name == "/" || name.contains("-es-") {
        return None;
    }
    let file = serve(name, Arc::clone(&CONFIG)).ok()??;
    let kind = HeaderValue::try_from(file.content_type).ok()?;
    let content = Bytes::from(file.bytes.into_owned());
    let is_packed = file.gzpipped && negotiation::accepts_gzip(headers);
    // Either form is an entity of its own (RFC 9110, section 8.8.3).
    let tag = entity_tag(&content, if is_packed { "-gzip" } else { "" });
    let content = if file.gzpipped && !is_packed { unpacked(&content).await? } else { content };
    let reply = with(
        Reply::text(kind, content),
        [
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600")),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::ETAG, tag),
        ],
    );
    let coding = is_packed.then(|| (header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
    Some(with(reply, coding))
}

/// The program holds most pages packed only: browsers take them like that, and hardly anybody else opens them.
async fn unpacked(packed: &[u8]) -> Option<Bytes> {
    let mut whole = Vec::new();
    GzipDecoder::new(packed).read_to_end(&mut whole).await.ok()?;
    Some(whole.into())
}

/// What is different where the content is, as long as the program is not built anew.
fn entity_tag(content: &[u8], form: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    let tag = format!("\"{:016x}{form}\"", hasher.finish());
    // Quotes, digits and letters always are a value.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

fn with(mut reply: Reply, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Reply {
    reply.headers.extend(headers);
    reply
}
