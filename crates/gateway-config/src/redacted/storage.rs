//! `store` and `redis`, whose URLs may hold passwords in more than one place.

use gateway_secret::Secret;
use serde::Serialize;

use super::HIDDEN;
use crate::config::{OnRedisError, Redis, Store, StorePlace};
use crate::unit::shown_duration;

/// `store`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedStore {
    /// Without a password.
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_pepper: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<&'static str>,
}

/// `redis`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedRedis {
    /// Without a password.
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    pub on_error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

impl From<&Store> for RedactedStore {
    fn from(store: &Store) -> Self {
        let url = match &store.place {
            StorePlace::Nowhere => "none".to_owned(),
            StorePlace::Default(path) | StorePlace::Sqlite(path) => format!("sqlite:{}", path.display()),
            StorePlace::Postgres(url) => without_password(url.expose()),
        };
        let hidden = |secret: &Option<Secret>| secret.as_ref().map(|_| HIDDEN);
        Self { url, key_pepper: hidden(&store.key_pepper), encryption_key: hidden(&store.encryption_key) }
    }
}

impl From<&Redis> for RedactedRedis {
    fn from(redis: &Redis) -> Self {
        Self {
            url: without_password(redis.url.expose()),
            prefix: redis.prefix.clone(),
            on_error: match redis.on_error {
                OnRedisError::Local => "local",
                OnRedisError::Deny => "deny",
            },
            timeout: redis.timeout.map(shown_duration),
        }
    }
}

/// A URL without what may be a password: what follows the user, a user alone, and the query. Passwords are often written
/// as they are, with characters that belong to a URL, so whatever could be part of one is left out with it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let (before, query) = rest.split_once(['?', '#']).map_or((rest, None), |(before, query)| (before, Some(query)));
    if query.is_some_and(|query| query.contains('@')) {
        // Either sign may be part of a password, and then the other is no end of it.
        return format!("{scheme}://{HIDDEN}");
    }
    let address = match before.rsplit_once('@') {
        None => before.to_owned(),
        Some((user, address)) => match user.split_once(':') {
            Some(("", _)) => address.to_owned(),
            Some((user, _)) => format!("{user}@{address}"),
            None => format!("{HIDDEN}@{address}"),
        },
    };
    let query = if query.is_some() { "?***" } else { "" };
    format!("{scheme}://{address}{query}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_shown_without_passwords() {
        for (url, shown) in [
            ("postgresql://localhost/gateway", "postgresql://localhost/gateway"),
            ("postgresql://gateway:hunter2@db:5432/gateway", "postgresql://gateway@db:5432/gateway"),
            ("postgresql://gateway:hun/ter2@db/gateway", "postgresql://gateway@db/gateway"),
            ("postgresql://gateway:hun@ter2@db/gateway", "postgresql://gateway@db/gateway"),
            ("postgresql://gateway:hun:ter2@db/gateway", "postgresql://gateway@db/gateway"),
            ("postgresql://gateway:hun?ter2@db/gateway", "postgresql://***"),
            ("postgresql://gateway:hun#ter2@db/gateway", "postgresql://***"),
            ("postgresql://db/gateway?user=u&password=hunter2", "postgresql://db/gateway?***"),
            ("postgresql://db:5432/gateway?password=hunt@er2", "postgresql://***"),
            ("postgresql:///gateway?host=/run/postgresql", "postgresql:///gateway?***"),
            ("redis://:hunter2@cache:6379/0", "redis://cache:6379/0"),
            ("redis://hunter2@cache", "redis://***@cache"),
            ("rediss://cache", "rediss://cache"),
            ("hunter2", "***"),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_password_is_shown(password in "[a-z:/@?#&%=]{0,6}Q[a-z:/@?#&%=]{0,6}", user in "[a-z]{1,4}") {
            for url in [
                format!("postgres://{user}:{password}@db/name"),
                format!("postgres://{user}:{password}@db/name?sslmode=require"),
                format!("redis://:{password}@cache"),
                format!("postgres://db/name?password={password}"),
                format!("postgres://{user}@db/name?password={password}"),
            ] {
                prop_assert!(!without_password(&url).contains('Q'), "{}", without_password(&url));
            }
        }
    }
}
