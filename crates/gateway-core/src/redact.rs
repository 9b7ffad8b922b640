//! Credentials that an upstream quotes.
//!
//! Some upstreams repeat the key that they refuse. Their words may go to the log and, where the request itself is at fault, go to
//! the caller, so what the gateway sent is taken out of them first.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use gateway_call::CREDENTIAL_HEADERS;
use http::HeaderMap;
use memchr::memmem;

/// From this length on, in bytes, any configured header's value is taken for a credential. Shorter ones are words.
const LONG: usize = 8;

/// What must not be quoted of the requests to one provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Redactor(Arc<[Box<str>]>);

impl Redactor {
    /// A redactor of the credentials in all headers that requests to a provider may have.
    pub(crate) fn new(sent: &[HeaderMap]) -> Self {
        let values = sent.iter().flatten().filter_map(|(name, value)| Some((name, value.to_str().ok()?)));
        let secret = values.filter_map(|(name, value)| {
            // Behind the scheme's name, as in `Bearer KEY`.
            let credential = value.split_ascii_whitespace().last()?;
            (CREDENTIAL_HEADERS.contains(name) || credential.len() >= LONG).then(|| credential.into())
        });
        let mut secrets: Vec<Box<str>> = secret.collect();
        secrets.sort_unstable();
        secrets.dedup();
        // The longest first: one key may be the beginning of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets.into())
    }

    /// Takes out headers of the upstream's that quote a credential.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        let quoting = headers.iter().filter(|(_, value)| self.is_quoted_in(value.as_bytes()));
        let quoting: Vec<_> = quoting.map(|(name, _)| name.clone()).collect();
        for name in quoting {
            headers.remove(name);
        }
    }

    /// Whether a text holds a credential.
    pub(crate) fn is_quoted_in(&self, text: &[u8]) -> bool {
        self.0.iter().any(|credential| memmem::find(text, credential.as_bytes()).is_some())
    }

    /// Words of the upstream's without the credentials. Words that hold none are not copied.
    pub(crate) fn redact(&self, words: Bytes) -> Bytes {
        self.0.iter().fold(words, |words, credential| {
            if memmem::find(&words, credential.as_bytes()).is_none() {
                return words;
            }
            String::from_utf8_lossy(&words).replace(&**credential, "[redacted]").into()
        })
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(…)")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn credentials_are_taken_out_of_an_upstreams_words() {
        let mut sent = HeaderMap::new();
        for (name, value) in [("authorization", "Bearer sk-1"), ("x-auth", "0123456789abcdef"), ("x-team", "ml")] {
            sent.insert(name, HeaderValue::from_static(value));
        }
        let redacted =
            |words: &'static [u8]| Redactor::new(std::slice::from_ref(&sent)).redact(Bytes::from_static(words));
        assert_eq!(
            redacted(b"no key sk-1 (Bearer sk-1, 0123456789abcdef) of ml"),
            "no key [redacted] (Bearer [redacted], [redacted]) of ml"
        );
        assert_eq!(redacted(b"\xff no key"), &b"\xff no key"[..]);
    }
}
