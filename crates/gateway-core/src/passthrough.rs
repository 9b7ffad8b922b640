//! Paths below `/v1/` that the gateway does not know, forwarded as they are to the provider that the configuration
//! names: files, batches, whatever comes next.
//!
//! This is the one place where a caller's path and query reach an upstream, so both are checked first.

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;

use crate::rejection::Rejection;

/// Query parameters in which callers of some vendors put their key; a key must not cross, nor stand in any log.
const KEY_PARAMETERS: [&str; 4] = ["key", "api_key", "api-key", "access_token"];

/// The path below `/v1` with its query, if both can go to an upstream literally.
pub(crate) fn target(uri: &Uri) -> Result<&str, Rejection> {
    check_path(uri.path())?;
    check_query(uri.query().unwrap_or_default())?;
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    target.strip_prefix("/v1").ok_or(Rejection::PathNotFound)
}

/// What the upstream's answer to `HEAD` says of the length of the body that `GET` would bring (RFC 9110, section 8.6, which forbids
/// it with 204). Of every other answer the gateway says the length itself, by the body that it sends.
pub(crate) fn length_without_body(method: &Method, status: StatusCode, answer: &HeaderMap) -> Option<HeaderValue> {
    let may_say = *method == Method::HEAD && status != StatusCode::NO_CONTENT;
    let length = answer.get(CONTENT_LENGTH).filter(|_| may_say)?;
    length.to_str().ok()?.parse::<u64>().ok().map(HeaderValue::from)
}

/// Refuses what servers read in different ways: dot segments, empty segments, encoded slashes, backslashes and
/// control characters.
fn check_path(path: &str) -> Result<(), Rejection> {
    let lower = path.to_ascii_lowercase();
    let odd_byte = lower.bytes().any(|byte| byte == b'\\' || byte.is_ascii_control());
    let odd_escape = ["%2f", "%5c", "%00"].iter().any(|escape| lower.contains(escape)) || has_encoded_control(&lower);
    let decoded_dots = lower.replace("%2e", ".");
    let odd_segment = decoded_dots.split('/').skip(1).any(|segment| matches!(segment, "" | "." | ".."));
    if odd_byte || odd_escape || odd_segment {
        return Err(Rejection::malformed_head(
            "the path has dot segments, empty segments, or encoded slashes, backslashes or control characters",
        ));
    }
    Ok(())
}

/// `%00` to `%1f`, and `%7f`.
fn has_encoded_control(lower: &str) -> bool {
    lower.split('%').skip(1).any(|rest| {
        let code = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| code.is_ascii_control())
    })
}

fn check_query(query: &str) -> Result<(), Rejection> {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let mut names = names.map(|name| percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase());
    if names.any(|name| KEY_PARAMETERS.contains(&name.as_str())) {
        return Err(Rejection::malformed_head("the query holds a key; send it in the `authorization` header"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_on_literally_or_not_at_all() {
        let target_of = |text: &str| target(&text.parse::<Uri>().unwrap()).ok().map(str::to_owned);
        assert_eq!(target_of("/v1/files?limit=2&after=a%2Fb"), Some("/files?limit=2&after=a%2Fb".to_owned()));
        assert_eq!(target_of("/v1/files/file-1/content"), Some("/files/file-1/content".to_owned()));
        assert_eq!(target_of("/v1/a.b/..c"), Some("/a.b/..c".to_owned()));
        for refused in [
            "/v1/../admin",
            "/v1/files/..",
            "/v1/%2e%2E/admin",
            "/v1/.%2e/admin",
            "/v1//files",
            "/v1/files/",
            "/v1/a%2fb",
            "/v1/a%5Cb",
            "/v1/a%0ab",
            "/v1/a%7f",
            "/v1/files?key=sk",
            "/v1/files?limit=1&API_KEY=sk",
            "/v1/files?k%65y=sk",
        ] {
            assert_eq!(target_of(refused), None, "{refused}");
        }
    }
}
