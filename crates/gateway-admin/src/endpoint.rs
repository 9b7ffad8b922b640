//! The endpoints: every path of the admin API, and who answers there.

mod audit;
mod config;
mod entries;
mod health;
mod master_keys;
mod models;
mod providers;
mod short_keys;
mod usage;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::Method;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::error::{AdminError, Invalid};
use crate::json;
use crate::openapi::Operation;
use crate::reply::Reply;
use crate::service::Parts;

/// Every path. The first that fits answers; the document lists all.
pub(crate) const ROUTES: [&Route; 15] = [
    &providers::ALL,
    &providers::ONE,
    &health::ONE,
    &health::SEVERAL,
    &models::ALL,
    &models::ONE,
    &master_keys::ALL,
    &master_keys::ONE,
    &master_keys::ROTATE,
    &short_keys::ALL,
    &config::IN_FORCE,
    &config::VERSION,
    &config::RELOAD,
    &usage::ALL,
    &audit::ALL,
];

/// A path and what can be done there.
pub(crate) struct Route {
    /// The path; `{id}` stands for one segment of any text.
    pub(crate) path: &'static str,
    /// What the document sorts it under.
    pub(crate) tag: &'static str,
    /// What `{id}` is, for the document; empty if there is none.
    pub(crate) id: &'static str,
    /// What can be done there.
    pub(crate) operations: &'static [Operation],
}

/// Answers one method of one path.
pub(crate) type Handler = for<'a> fn(&'a Parts, Asked<'a>) -> Handling<'a>;

/// An answer under way.
pub(crate) type Handling<'a> = Pin<Box<dyn Future<Output = Result<Reply, AdminError>> + Send + 'a>>;

/// What a handler is told of the request.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What stands in the place of `{id}`; empty if the path has none.
    pub(crate) id: &'a str,
    /// What stands behind the question mark.
    pub(crate) query: &'a str,
    /// The body, whole; empty if there is none.
    pub(crate) body: &'a Bytes,
}

impl Asked<'_> {
    /// The body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        json::parse(self.body)
    }

    /// The body, which may be left out.
    pub(crate) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Invalid> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }
}

/// Who answers a request, and about what.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) handler: Handler,
    pub(crate) id: String,
}

/// Finds who answers a request.
pub(crate) fn find(method: &Method, path: &str) -> Result<Found, AdminError> {
    let found = ROUTES.iter().find_map(|route| Some((route, matched(route.path, path)?)));
    let (route, id) = found.ok_or(AdminError::PathNotFound)?;
    let operation = route.operations.iter().find(|operation| operation.method == method.as_str());
    let allow = || route.operations.iter().map(|operation| operation.method).collect::<Vec<_>>().join(", ");
    let operation = operation.ok_or_else(|| AdminError::MethodNotAllowed { allow: allow() })?;
    Ok(Found { handler: operation.handler, id })
}

/// What stands in the place of `{id}`, if the path fits the pattern.
fn matched(pattern: &str, path: &str) -> Option<String> {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    let mut id = String::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(id),
            (Some("{id}"), Some(text)) if !text.is_empty() => {
                // Control characters and all: what somebody has made by hand has to be found before it can be deleted.
                id = percent_decode_str(text).decode_utf8().ok()?.into_owned();
            }
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_route_and_its_identifier() {
        let one = "/admin/v1/master-keys/{id}";
        for (pattern, path, expected) in [
            (one, "/admin/v1/master-keys/a.b", Some("a.b")),
            (one, "/admin/v1/master-keys/a%2Fb%20c", Some("a/b c")),
            (one, "/admin/v1/master-keys/", None),
            (one, "/admin/v1/master-keys", None),
            (one, "/admin/v1/master-keys/a/", None),
            (one, "/admin/v1/master-keys/a/b", None),
            (one, "//admin/v1/master-keys/a", None),
            (one, "/admin/v1/master-keys/%ff", None),
            (one, "/admin/v1/master-keys/a%00%0a", Some("a\0\n")),
            ("/api/keys", "/api/keys", Some("")),
            ("/api/keys", "/api/keys/", None),
            ("/api/keys", "/API/keys", None),
        ] {
            assert_eq!(matched(pattern, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn no_path_has_two_routes() {
        for route in ROUTES {
            let path = route.path.replace("{id}", "x");
            assert_eq!(ROUTES.iter().filter(|other| matched(other.path, &path).is_some()).count(), 1, "{path}");
        }
    }
}
