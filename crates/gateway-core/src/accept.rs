//! Step 1: is this a well-formed request, and what is it for.
//!
//! The rules on a request's head are those on which request smuggling rests: whatever two parsers could read in two
//! ways is refused here, so that one unambiguous request reaches the upstream. What depends on raw bytes is refused
//! one layer further out, in the listener.

use gateway_call::Endpoint;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE, VIA};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

use crate::rejection::Rejection;

/// The most header lines of a request.
const MAX_HEADERS: usize = 100;

/// The most bytes of a request's head: its target and its header lines.
const MAX_HEAD: usize = 64 * 1024;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination<'a> {
    /// One of the LLM endpoints.
    Call(Endpoint),
    /// The list of models.
    Models,
    /// One model of the list, named by the rest of the path, still percent-encoded.
    Model(&'a str),
    /// Is the process there.
    Health,
    /// Is the process alive.
    Livez,
    /// Should the process get calls.
    Readyz,
    /// A path below `/v1/` that the gateway does not know.
    OtherV1,
}

impl Destination<'_> {
    /// The path for logs and metrics: a constant, never the caller's text.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Call(endpoint) => endpoint.path(),
            Self::Models => "/v1/models",
            Self::Model(_) => "/v1/models/{id}",
            Self::Health => "/health",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::OtherV1 => "/v1/*",
        }
    }
}

/// Checks a request's head and finds what the request is for.
///
/// `instance` is this gateway's own name in `via`: a request that carries it has come round in a circle.
///
/// With `passthrough`, paths and methods that the gateway does not know are left to the provider.
pub(crate) fn accept<'a>(head: &'a Parts, instance: &str, passthrough: bool) -> Result<Destination<'a>, Rejection> {
    check_head(head)?;
    check_loop(&head.headers, instance)?;
    let path = head.uri.path();
    let destination = destination(path).ok_or(Rejection::PathNotFound)?;
    match destination {
        Destination::OtherV1 if passthrough => Ok(destination),
        Destination::OtherV1 => Err(Rejection::PathNotFound),
        // What is known by its path but not by its method may be known to the provider, such as `GET /v1/responses`.
        _ if passthrough && path.starts_with("/v1/") && !allows(destination, &head.method) => Ok(Destination::OtherV1),
        _ if allows(destination, &head.method) => Ok(destination),
        _ => Err(Rejection::MethodNotAllowed { allow: allowed_methods(destination) }),
    }
}

/// What a path is for, whatever the method.
pub(crate) fn destination(path: &str) -> Option<Destination<'_>> {
    if let Some(endpoint) = Endpoint::from_path(path) {
        return Some(Destination::Call(endpoint));
    }
    match path {
        "/v1/models" => Some(Destination::Models),
        "/health" => Some(Destination::Health),
        "/livez" => Some(Destination::Livez),
        "/readyz" => Some(Destination::Readyz),
        _ => match path.strip_prefix("/v1/models/") {
            Some(id) if !id.is_empty() => Some(Destination::Model(id)),
            _ => path.starts_with("/v1/").then_some(Destination::OtherV1),
        },
    }
}

fn allows(destination: Destination<'_>, method: &Method) -> bool {
    match destination {
        Destination::Call(_) => method == Method::POST,
        _ => method == Method::GET || method == Method::HEAD,
    }
}

/// The value of `allow` for a path.
pub(crate) fn allowed_methods(destination: Destination<'_>) -> &'static str {
    match destination {
        Destination::Call(_) => "POST",
        _ => "GET, HEAD",
    }
}

/// The rules that every request's head has to keep, whatever it is for.
pub(crate) fn check_head(head: &Parts) -> Result<(), Rejection> {
    check_size(head)?;
    check_authority(head)?;
    check_framing(head)?;
    if head.method == Method::TRACE {
        // It asks a server to send back what it got, which behind a gateway is the gateway's own key.
        return Err(Rejection::MethodNotAllowed { allow: "GET, HEAD, POST" });
    }
    if head.method == Method::CONNECT || head.headers.contains_key(UPGRADE) {
        return Err(Rejection::malformed_head("the gateway does not switch protocols; send no `upgrade` header"));
    }
    Ok(())
}

fn check_size(head: &Parts) -> Result<(), Rejection> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let lines: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head.headers.len() > MAX_HEADERS || target + lines > MAX_HEAD {
        return Err(Rejection::HeadTooLarge);
    }
    Ok(())
}

/// RFC 9112, section 3.2: exactly one `host`, and no other authority beside it.
fn check_authority(head: &Parts) -> Result<(), Rejection> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Rejection::malformed_head("the request has more than one `host` header"));
    }
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (first, authority) {
        (None, None) => Err(Rejection::malformed_head("the request has no `host` header")),
        (None, Some(_)) if head.version <= Version::HTTP_11 => {
            Err(Rejection::malformed_head("the request has no `host` header"))
        }
        (Some(host), Some(authority)) if !host.as_bytes().eq_ignore_ascii_case(authority) => {
            Err(Rejection::malformed_head("the request's target and its `host` header name different hosts"))
        }
        _ => Ok(()),
    }
}

/// RFC 9112, section 6.1: a body is framed by a length or by `chunked`, never by both or by anything else.
fn check_framing(head: &Parts) -> Result<(), Rejection> {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let single = codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !single || head.headers.contains_key(CONTENT_LENGTH) {
        return Err(Rejection::malformed_head("the request's body is framed in more than one way"));
    }
    Ok(())
}

fn check_loop(headers: &HeaderMap, instance: &str) -> Result<(), Rejection> {
    let names_us = |value: &http::HeaderValue| {
        value.to_str().is_ok_and(|text| text.split(',').any(|hop| hop.split_whitespace().nth(1) == Some(instance)))
    };
    if headers.get_all(VIA).iter().any(names_us) {
        return Err(Rejection::LoopDetected);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn verdict(request: http::request::Builder) -> Result<(), u16> {
        accept(&head(request), "gw-1", false).map(drop).map_err(|rejection| rejection.status().as_u16())
    }

    #[test]
    fn heads_that_two_parsers_could_read_differently_are_refused() {
        let post = || Request::post("/v1/chat/completions").header("host", "gw");
        assert_eq!(verdict(post()), Ok(()));
        assert_eq!(verdict(post().header("transfer-encoding", "chunked")), Ok(()));
        for (name, value) in [
            ("host", "other"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "gzip, chunked"),
            ("transfer-encoding", "identity"),
        ] {
            assert_eq!(verdict(post().header(name, value)), Err(400), "{name}: {value}");
        }
        let both = post().header("transfer-encoding", "chunked").header("content-length", "3");
        assert_eq!(verdict(both), Err(400));
        let twice = post().header("transfer-encoding", "chunked").header("transfer-encoding", "chunked");
        assert_eq!(verdict(twice), Err(400));
        assert_eq!(verdict(Request::post("/v1/chat/completions")), Err(400), "no host");
        let absolute = |host: &str| Request::post("http://gw/v1/chat/completions").header("host", host);
        assert_eq!(verdict(absolute("GW")), Ok(()));
        assert_eq!(verdict(absolute("evil")), Err(400));
    }

    #[test]
    fn heads_are_bounded() {
        let mut many = Request::post("/v1/chat/completions").header("host", "gw");
        for index in 0..100 {
            many = many.header(format!("x-{index}"), "1");
        }
        assert_eq!(verdict(many), Err(431));
        let long = Request::post("/v1/chat/completions").header("host", "gw").header("x", "y".repeat(65 * 1024));
        assert_eq!(verdict(long), Err(431));
    }

    #[test]
    fn paths_and_methods_have_their_verdicts() {
        let get = |path: &str| verdict(Request::get(path).header("host", "gw"));
        assert_eq!(get("/health"), Ok(()));
        assert_eq!(get("/v1/models"), Ok(()));
        assert_eq!(get("/v1/models/Proxy/gpt-4o"), Ok(()));
        assert_eq!(get("/v1/models/"), Err(404));
        assert_eq!(get("/v1/files"), Err(404));
        assert_eq!(get("/"), Err(404));
        assert_eq!(get("/v1/chat/completions"), Err(405));
        assert_eq!(verdict(Request::post("/health").header("host", "gw")), Err(405));
        let trace = Request::builder().method("TRACE").uri("/v1/files").header("host", "gw");
        assert_eq!(verdict(trace), Err(405), "it would show the gateway's key");
    }

    #[test]
    fn passthrough_takes_what_the_gateway_does_not_know() {
        let request = |method: &str, path: &str| {
            let parts = head(Request::builder().method(method).uri(path).header("host", "gw"));
            accept(&parts, "gw-1", true).map(Destination::path).map_err(|rejection| rejection.status().as_u16())
        };
        assert_eq!(request("DELETE", "/v1/files/a"), Ok("/v1/*"));
        assert_eq!(request("GET", "/v1/responses"), Ok("/v1/*"));
        assert_eq!(request("POST", "/v1/responses"), Ok("/v1/responses"));
        assert_eq!(request("GET", "/api/llm"), Err(405));
        assert_eq!(request("GET", "/admin"), Err(404));
    }

    #[test]
    fn a_request_that_has_been_here_before_is_refused() {
        let via = |value: &str| verdict(Request::get("/health").header("host", "gw").header("via", value));
        assert_eq!(via("1.1 other, 1.1 gw-2"), Ok(()));
        assert_eq!(via("1.1 other, 1.1 gw-1"), Err(508));
    }
}
