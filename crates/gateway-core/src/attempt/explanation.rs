//! What an upstream says of why it gave no answer, for the log.
//!
//! Upstreams quote requests in their errors, and whoever reads a log has no business with what callers send. So what is logged
//! of an error is what names it: its `type` and its `code`, if they look like names. The words are logged only where the configuration
//! says so (`logging.upstream_errors`).

use std::time::Duration;

use bytes::Bytes;
use gateway_protocol::UpstreamFault;
use gateway_upstream::ResponseBody;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::redact::Redactor;
use crate::snapshot::ProviderRuntime;

/// How much of an upstream's error body is read, in bytes. Reading it to its end lets the connection be used again.
const MAX_BODY: usize = 64 * 1024;

/// How long the gateway waits for it. Another target may be waiting for its turn.
const BODY_TIMEOUT: Duration = Duration::from_millis(250);

/// How much of its words is logged, in bytes.
const MAX_WORDS: usize = 512;

/// The longest text that is taken for a name, in bytes. OpenAI's longest code, `unsupported_country_region_territory`, has 36.
const MAX_NAME: usize = 48;

/// What of an upstream's error may be logged.
#[derive(Debug)]
pub(super) struct Explanation {
    /// The error's `type`.
    pub(super) kind: Option<String>,
    /// The error's `code`.
    pub(super) code: Option<String>,
    /// The beginning of its words, if they may be logged.
    pub(super) words: Option<String>,
}

impl Explanation {
    /// Of an error with these `words`, as far as it could be taken apart.
    pub(super) fn new(fault: Option<&UpstreamFault>, words: &Bytes, provider: &ProviderRuntime) -> Self {
        let redactor = &provider.redactor;
        let (kind, code) = fault.map_or((None, None), |fault| (fault.kind.as_deref(), fault.code.as_deref()));
        Self {
            kind: kind.and_then(|kind| name(kind, redactor)),
            code: code.and_then(|code| name(code, redactor)),
            words: provider.logs_words.then(|| beginning(words, redactor)).filter(|words| !words.is_empty()),
        }
    }
}

/// A text that is the name of something: nobody writes it, and it is no credential.
fn name(text: &str, redactor: &Redactor) -> Option<String> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_name = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_of_name);
    (is_name && !redactor.is_quoted_in(text.as_bytes())).then(|| text.to_owned())
}

fn beginning(words: &Bytes, redactor: &Redactor) -> String {
    let words = redactor.redact(words.clone());
    let mut words = String::from_utf8_lossy(&words).into_owned();
    words.truncate(words.floor_char_boundary(MAX_WORDS));
    words
}

/// The beginning of an upstream's error body, as far as it comes quickly.
pub(super) async fn read(mut body: ResponseBody) -> Bytes {
    let mut words = Vec::new();
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(chunk) = frame.into_data() {
                words.extend_from_slice(&chunk);
            }
            if words.len() > MAX_BODY {
                break;
            }
        }
    };
    // Whatever came in time is what there is to log.
    let _ = timeout(BODY_TIMEOUT, read).await;
    words.into()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    #[test]
    fn only_what_looks_like_a_name_is_one() {
        let mut sent = HeaderMap::new();
        sent.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-credential"));
        let redactor = Redactor::new(std::slice::from_ref(&sent));
        for text in ["invalid_request_error", "429", "Error.Rate-Limit", "unsupported_country_region_territory"] {
            assert_eq!(name(text, &redactor).as_deref(), Some(text));
        }
        let long = "x".repeat(MAX_NAME + 1);
        let no_names =
            ["", "two words", "a:b", "a/b", "tab\t", "line\n", "\"", "é", "sk-credential", "bad_sk-credential", &long];
        for text in no_names {
            assert_eq!(name(text, &redactor), None, "{text}");
        }
    }
}
