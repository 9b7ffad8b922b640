//! Where an upstream lives: scheme, host and port, checked once.
//!
//! A connection is opened to the configured origin and to nothing else. Whatever authority a request's URI names, the
//! `Host` header and `:authority` are written from here, so no data of a call can steer a request elsewhere.

use std::fmt;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

use crate::BuildError;

/// A scheme, host and port to which connections are opened.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URI; its path and query are ignored.
    pub fn from_uri(uri: &Uri) -> Result<Self, BuildError> {
        let scheme = uri.scheme().ok_or(BuildError::Scheme)?;
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(BuildError::Scheme),
        };
        let authority = uri.authority().ok_or(BuildError::Host)?;
        if authority.as_str().contains('@') {
            return Err(BuildError::UserInfo);
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err(BuildError::Host);
        }
        // RFC 9110, 4.2.3: an explicit default port is the same origin as none, and some virtual hosts only know the
        // latter.
        let port = authority.port_u16().unwrap_or(default_port);
        let authority =
            if port == default_port { host.parse().map_err(|_| BuildError::Host)? } else { authority.clone() };
        Ok(Self { scheme: scheme.clone(), authority, host: bare.into(), port })
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, explicit or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether connections are encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The value of `Host`.
    pub(crate) fn host_header(&self) -> Result<HeaderValue, BuildError> {
        HeaderValue::from_str(self.authority.as_str()).map_err(|_| BuildError::Host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn origins_are_taken_apart() {
        for (uri, host, port, shown) in [
            ("https://api.openai.com/v1", "api.openai.com", 443, "https://api.openai.com"),
            ("https://api.openai.com:443/v1", "api.openai.com", 443, "https://api.openai.com"),
            ("http://localhost:8080", "localhost", 8080, "http://localhost:8080"),
            ("http://[::1]/", "::1", 80, "http://[::1]"),
            ("http://[::1]:81/", "::1", 81, "http://[::1]:81"),
        ] {
            let origin = Origin::from_uri(&uri.parse().unwrap()).unwrap();
            assert_eq!((origin.host(), origin.port()), (host, port), "{uri}");
            assert_eq!(origin.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        let refuse = |uri: &str| Origin::from_uri(&uri.parse().unwrap()).unwrap_err();
        assert!(matches!(refuse("ftp://host/"), BuildError::Scheme));
        assert!(matches!(refuse("/v1"), BuildError::Scheme));
        assert!(matches!(refuse("https://user:password@host/"), BuildError::UserInfo));
    }
}
