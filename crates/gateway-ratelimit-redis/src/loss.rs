//! Why Redis is not used, in words for whoever operates a gateway.

use redis::{ErrorKind, RedisError};

/// Why Redis is not used.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// No answer in time.
    Timeout,
    /// An error in its place.
    Failed(RedisError),
    /// An answer that makes no sense.
    Nonsense,
    /// The database of the URL is not to be had.
    Database,
}

impl Loss {
    /// The only command of a new connection whose refusal has no code of its own is the one that selects the database.
    pub(crate) fn while_connecting(error: RedisError) -> Self {
        if error.code() == Some("ERR") { Self::Database } else { Self::Failed(error) }
    }

    /// What may be said of it: an error's own words can repeat what was sent, and that may be a password.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Timeout => "no answer in time".to_owned(),
            Self::Nonsense => "an answer that makes no sense".to_owned(),
            Self::Database => {
                "it refuses the database of redis.url, which it does not have or wants a password for".to_owned()
            }
            Self::Failed(error) if error.kind() == ErrorKind::Io => error.to_string(),
            Self::Failed(error) => {
                let code = error.code().unwrap_or_else(|| error.category());
                explain(code).map_or_else(|| code.to_owned(), |meaning| format!("{meaning} ({code})"))
            }
        }
    }
}

/// What a code of Redis means for the operator of a gateway.
fn explain(code: &str) -> Option<&'static str> {
    Some(match code {
        "NOAUTH" => "it wants a password, and redis.url has none",
        "WRONGPASS" | "authentication failed" => "it refuses the user or the password of redis.url",
        "NOPERM" => "the user of redis.url may not run scripts, or not on these keys",
        "LOADING" => "it is loading its data, and answers when it is done",
        "READONLY" => "it is a replica, which takes no writes: redis.url has to lead to the primary",
        "MASTERDOWN" => "it is a replica that has lost its primary",
        "MISCONF" => "it takes no writes, as it cannot save its data to disk",
        "OOM" => "its memory is full: see maxmemory",
        "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => "it is part of a cluster, whose redirections are not followed",
        "BUSY" => "it is busy with somebody's script",
        "NOSCRIPT" => "it forgets scripts as soon as it has them",
        "ERR" => "it refuses the script: Redis 6 or later, or Valkey, is needed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn nothing_that_was_sent_is_repeated() {
        let echo = "unknown command 'AUTH', with args beginning with: 'secret'".to_owned();
        for kind in [ErrorKind::AuthenticationFailed, ErrorKind::Extension, ErrorKind::Client] {
            let loss = Loss::Failed(RedisError::from((kind, "refused", echo.clone())));
            assert!(!loss.reason().contains("secret"), "{}", loss.reason());
        }
        let refused = Loss::Failed(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        assert_eq!(refused.reason(), "connection refused");
    }

    #[test]
    fn what_a_server_says_is_explained() {
        let said = |code: &str| redis::make_extension_error(code.to_owned(), Some("words".to_owned()));
        for (code, expected) in [
            ("NOAUTH", "it wants a password, and redis.url has none (NOAUTH)"),
            ("WRONGPASS", "it refuses the user or the password of redis.url (WRONGPASS)"),
            ("MISCONF", "it takes no writes, as it cannot save its data to disk (MISCONF)"),
            ("OOM", "its memory is full: see maxmemory (OOM)"),
            ("SOMETHING", "SOMETHING"),
        ] {
            assert_eq!(Loss::while_connecting(said(code)).reason(), expected);
        }
        let known = |kind: ServerErrorKind| Loss::Failed(RedisError::from((ErrorKind::Server(kind), "words")));
        for (kind, code) in [(ServerErrorKind::BusyLoading, "LOADING"), (ServerErrorKind::ReadOnly, "READONLY")] {
            let reason = known(kind).reason();
            assert!(reason.starts_with("it is ") && reason.ends_with(&format!("({code})")), "{reason}");
        }
        let refused = RedisError::from((ErrorKind::Server(ServerErrorKind::ResponseError), "refused", "9".to_owned()));
        assert!(Loss::while_connecting(refused).reason().contains("the database of redis.url"));
    }
}
