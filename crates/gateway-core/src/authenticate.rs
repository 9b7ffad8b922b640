//! Step 2: whose call is this.

use std::sync::Arc;

use gateway_keystore::{KeyStore, VirtualKey};
use gateway_secret::KeyDigester;
use http::{HeaderMap, HeaderValue, header};

use crate::clock::wall_clock;
use crate::headers::name;
use crate::rejection::{KeyFault, Rejection};
use crate::settle::Settlement;

/// Whoever makes a call, once that is known.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The holder of a key.
    Key(Arc<VirtualKey>),
    /// Anybody, where the configuration asks for no key.
    Anonymous,
}

impl Caller {
    /// Whether the caller may use a model, named without the gateway's own prefix.
    pub(crate) fn allows(&self, model: &str) -> bool {
        match self {
            Self::Key(key) => key.allows(model),
            Self::Anonymous => true,
        }
    }

    /// Whose turn it is when callers take turns; those without a key are one.
    pub(crate) fn account(&self) -> Arc<str> {
        match self {
            Self::Key(key) => Arc::clone(&key.account),
            Self::Anonymous => Arc::default(),
        }
    }

    /// The caller's key, if there is anything to count under it.
    pub(crate) fn limited_key(&self) -> Option<&VirtualKey> {
        match self {
            Self::Key(key) if !key.limits.is_unlimited() => Some(key),
            _ => None,
        }
    }

    /// Whether no model is closed to the caller.
    pub(crate) fn allows_all(&self) -> bool {
        match self {
            Self::Key(key) => key.allows_all(),
            Self::Anonymous => true,
        }
    }
}

/// Where keys are looked up, and by what.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Makes of a key what it is looked up by.
    pub(crate) digester: KeyDigester,
    /// Knows them.
    pub(crate) store: Arc<dyn KeyStore>,
}

/// Finds the key behind the caller's credentials. Without `keys`, nobody is asked for one.
pub(crate) async fn authenticate(
    keys: Option<&Keys>,
    headers: &HeaderMap,
    settlement: &mut Settlement,
) -> Result<Caller, Rejection> {
    let Some(keys) = keys else { return Ok(Caller::Anonymous) };
    let key = find(keys, headers).await?;
    settlement.note_key(Arc::clone(&key));
    check(&key)?;
    Ok(Caller::Key(key))
}

/// Whether these are the headers of somebody who may call, whatever it is that is called.
pub(crate) async fn is_known(keys: Option<&Keys>, headers: &HeaderMap) -> bool {
    let Some(keys) = keys else { return true };
    find(keys, headers).await.is_ok_and(|key| check(&key).is_ok())
}

async fn find(keys: &Keys, headers: &HeaderMap) -> Result<Arc<VirtualKey>, Rejection> {
    let digest = keys.digester.digest(presented_key(headers)?);
    match keys.store.find(&digest).await {
        Ok(key) => key.ok_or(KeyFault::Unknown.into()),
        Err(error) => {
            // Whoever keeps the store says so once; here it would be said for every call.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the key store cannot tell whether a key is good"
            );
            Err(Rejection::StoreUnavailable)
        }
    }
}

fn check(key: &VirtualKey) -> Result<(), KeyFault> {
    if !key.is_enabled {
        return Err(KeyFault::Disabled);
    }
    if key.has_expired(wall_clock) {
        return Err(KeyFault::Expired);
    }
    Ok(())
}

/// The one key that the request carries, wherever it carries it.
fn presented_key(headers: &HeaderMap) -> Result<&[u8], KeyFault> {
    let bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer_token);
    let named =
        [name::X_API_KEY, name::API_KEY].into_iter().flat_map(|name| headers.get_all(name)).map(HeaderValue::as_bytes);
    let mut keys = bearers.chain(named).map(<[u8]>::trim_ascii).filter(|key| !key.is_empty());
    let first = keys.next().ok_or(KeyFault::Missing)?;
    // Both are the caller's own words, so comparing them tells nobody anything.
    if keys.any(|other| other != first) {
        return Err(KeyFault::Conflicting);
    }
    Ok(first)
}

/// The token of `Bearer TOKEN` (RFC 6750, section 2.1; the scheme's name in any case, RFC 9110, section 11.1).
fn bearer_token(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(pairs: &[(&'static str, &'static str)]) -> Result<String, KeyFault> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        presented_key(&headers).map(|key| String::from_utf8_lossy(key).into_owned())
    }

    #[test]
    fn a_key_is_found_wherever_it_stands() {
        assert_eq!(presented(&[("authorization", "Bearer k")]), Ok("k".to_owned()));
        assert_eq!(presented(&[("authorization", "bearer  k")]), Ok("k".to_owned()));
        assert_eq!(presented(&[("x-api-key", "k")]), Ok("k".to_owned()));
        assert_eq!(presented(&[("api-key", "k")]), Ok("k".to_owned()));
        assert_eq!(presented(&[("api-key", "k"), ("authorization", "Bearer k")]), Ok("k".to_owned()));
    }

    #[test]
    fn no_key_and_several_keys_are_told_apart() {
        assert_eq!(presented(&[]), Err(KeyFault::Missing));
        assert_eq!(presented(&[("authorization", "Basic dTpw")]), Err(KeyFault::Missing));
        assert_eq!(presented(&[("authorization", "Bearer ")]), Err(KeyFault::Missing));
        assert_eq!(presented(&[("x-api-key", "a"), ("api-key", "b")]), Err(KeyFault::Conflicting));
        assert_eq!(presented(&[("x-api-key", "a"), ("x-api-key", "b")]), Err(KeyFault::Conflicting));
        assert_eq!(
            presented(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]),
            Err(KeyFault::Conflicting)
        );
    }
}
