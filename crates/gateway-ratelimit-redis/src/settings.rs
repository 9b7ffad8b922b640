//! Which Redis, and what if it does not answer.

use std::io;
use std::time::Duration;

use gateway_secret::Secret;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, TlsCertificates};

/// How to reach Redis, and what if it does not answer.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://[user][:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub url: Secret,
    /// The certificates, as PEM, that a server behind TLS has to be signed by; the system's if none are given. For tests.
    #[doc(hidden)]
    pub root_certificates: Option<Vec<u8>>,
    /// What all keys there begin with. Has to be the same for all nodes that share limits, and another one for each group of
    /// nodes on one Redis that do not.
    pub prefix: String,
    /// What happens to calls while Redis does not answer.
    pub on_error: OnError,
    /// How long a decision waits for Redis.
    pub timeout: Duration,
    /// How often this node says that it is alive. One that has said nothing for five times as long is taken for dead, and
    /// its calls under way no longer count. Has to be the same for all nodes. For tests.
    #[doc(hidden)]
    pub heartbeat: Duration,
    /// Whose clock rates go by. For tests.
    #[doc(hidden)]
    pub clock: Clock,
}

/// What happens to calls while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// This node decides by itself, with its share of the limits.
    #[default]
    Local,
    /// They are refused.
    Deny,
}

/// Whose clock rates go by. For tests.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// Redis's own, which all nodes share.
    #[default]
    Redis,
    /// The calendar time that comes with each call: for tests that set the time.
    Caller,
}

/// Why there can be no connection, ever. Says nothing of the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisSettingsError {
    /// The URL is none that a Redis is reached at.
    #[error(
        "the URL of Redis is malformed: expected redis://[user][:password@]host[:port][/database], or rediss:// for TLS"
    )]
    Url,
    /// The URL asks for a certificate not to be checked.
    #[error("the URL of Redis asks for TLS without checking certificates, which is not supported: remove `#insecure`")]
    Insecure,
    /// The certificates are not PEM, or the URL does not ask for TLS.
    #[error("the root certificates of Redis are no PEM certificates, or its URL does not begin with rediss://")]
    RootCertificates,
    /// There can be no more threads or no more file descriptors.
    #[error("the thread that talks to Redis cannot be started: {0}")]
    Thread(io::ErrorKind),
}

impl RedisSettings {
    /// Settings with what is usual: a decision waits 50 milliseconds, nodes say every second that they are alive, and decide
    /// by themselves if Redis does not answer.
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            root_certificates: None,
            prefix: "llmgw:".to_owned(),
            on_error: OnError::Local,
            timeout: Duration::from_millis(50),
            heartbeat: Duration::from_secs(1),
            clock: Clock::Redis,
        }
    }

    /// Whether they make sense; connects to nothing.
    pub fn check(&self) -> Result<(), RedisSettingsError> {
        self.client().map(drop)
    }

    /// After how long without a word a node is taken for dead.
    pub(crate) fn alive_for(&self) -> Duration {
        self.heartbeat * 5
    }

    pub(crate) fn client(&self) -> Result<Client, RedisSettingsError> {
        let info = self.url.expose().into_connection_info().map_err(|_| RedisSettingsError::Url)?;
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(RedisSettingsError::Insecure);
        }
        if is_tls {
            provide_cryptography();
        }
        match &self.root_certificates {
            None => Client::open(info).map_err(|_| RedisSettingsError::Url),
            Some(pem) => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(info, certificates).map_err(|_| RedisSettingsError::RootCertificates)
            }
        }
    }
}

/// The client takes the process's cryptography and cannot be given another. Where the process has none yet, it gets the one
/// that the rest of the gateway uses.
fn provide_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, and then there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<Client, RedisSettingsError> {
        RedisSettings::new(Secret::from(url)).client()
    }

    #[test]
    fn urls_are_understood_or_refused_without_being_repeated() {
        for url in
            ["redis://h", "redis://:p@h:6380/2", "rediss://user:p%40@h", "redis://[::1]:6379", "unix:///run/redis.sock"]
        {
            assert!(client(url).is_ok(), "{url}");
        }
        for url in ["", "h:6379", "http://h", "redis://", "redis://h/secret", "redis://h:secret", "rediss://h#secret"] {
            let error = client(url).unwrap_err();
            assert_eq!(error, RedisSettingsError::Url, "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(client("rediss://h#insecure").unwrap_err(), RedisSettingsError::Insecure);
    }

    #[test]
    fn certificates_are_for_tls() {
        let settings = |url: &str| RedisSettings {
            root_certificates: Some(b"no certificate".to_vec()),
            ..RedisSettings::new(Secret::from(url))
        };
        assert_eq!(settings("redis://h").client().unwrap_err(), RedisSettingsError::RootCertificates);
    }
}
