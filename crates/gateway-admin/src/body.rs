//! Request bodies: JSON of a bounded size, in a bounded time.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::error::AdminError;

/// The largest body, in bytes: that of a provider with ten thousand mappings.
const MAX_BODY: usize = 1 << 20;
/// How long a body may take from its first byte to its last.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Reads a body that has to be JSON. One that is not there is empty, whatever it claims to be.
pub(crate) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Bytes, AdminError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if !is_plain_json(headers) {
        return Err(AdminError::UnsupportedMediaType);
    }
    let too_large = AdminError::BodyTooLarge { limit: MAX_BODY };
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large);
    }
    match timeout(MAX_WAIT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) => Err(AdminError::BodyBroken),
        Err(_) => Err(AdminError::BodyTimeout),
    }
}

/// Whether the body is JSON by its own account and not compressed. A page in a browser cannot send such a body to another
/// origin without asking (Fetch Standard, CORS-safelisted request headers).
fn is_plain_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind.strip_prefix("application/").is_some_and(|it| it == "json" || it.ends_with("+json"));
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    is_json && codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_told_by_its_media_type() {
        let claims = |kind: &'static str, coding: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
            is_plain_json(&headers)
        };
        assert!(!is_plain_json(&HeaderMap::new()));
        assert!(claims("application/json", "identity"));
        assert!(claims("Application/JSON; charset=utf-8", "identity"));
        assert!(claims("application/merge-patch+json", "Identity"));
        assert!(!claims("application/json", "gzip"));
        assert!(!claims("text/plain", "identity"));
        assert!(!claims("application/jsonp", "identity"));
        assert!(!claims("application/x-www-form-urlencoded", "identity"));
    }
}
