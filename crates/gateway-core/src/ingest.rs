//! Step 3: from a body's bytes to a call.
//!
//! A JSON body is read whole, because its `model` may stand anywhere in it. A multipart body is read until its `model`
//! part is known; the rest of it, usually a large file, streams through to the upstream.

use bytes::{Bytes, BytesMut};
use gateway_call::{BodyKind, Call, Endpoint};
use gateway_config::Affinity;
use gateway_protocol::{
    Conversation, MultipartError, MultipartScanner, ParsedRequest, Prompt, RequestError, Sizing, Template, boundary,
    parse_json,
};
use gateway_routing::StableHasher;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::gate::Entered;
use crate::headers::{JSON, media_type};
use crate::rejection::Rejection;
use crate::reserve::Doubt;
use crate::service::RequestSource;
use crate::settle::Settlement;

mod bounded;
mod multipart;

pub(crate) use bounded::BoundedBody;
pub(crate) use multipart::{MultipartRest, Upload};

/// A call and what to send for it.
pub(crate) struct Ingested<B> {
    /// What the caller asked for.
    pub(crate) asked: Asked,
    /// The body to send.
    pub(crate) payload: Payload<B>,
}

/// What a caller asked for, and in which conversation.
pub(crate) struct Asked {
    /// The call.
    pub(crate) call: Call,
    conversation: Conversation,
    /// The caller's own name for the conversation.
    session: Option<HeaderValue>,
    /// What of the body the model is to read.
    pub(crate) prompt: Prompt,
    /// How much of an answer it allows.
    pub(crate) sizing: Sizing,
}

impl Asked {
    /// What was parsed, apart from what is sent on.
    fn new(parsed: ParsedRequest, head: &Parts) -> (Self, Template) {
        let ParsedRequest { call, template, conversation, sizing, prompt, .. } = parsed;
        (Self { call, conversation, session: head.headers.get(SESSION).cloned(), prompt, sizing }, template)
    }

    /// What calls of the kind that should go to the same target have in common; none if the call has nothing of it.
    pub(crate) fn affinity(&self, kind: Affinity) -> Option<u64> {
        let session = self.session.as_ref().map(HeaderValue::as_bytes).filter(|session| !session.is_empty());
        match kind {
            Affinity::Session => session.or_else(|| self.conversation.session()).map(|session| hash(&[session])),
            Affinity::PromptPrefix => self.conversation.prompt_prefix().map(|parts| hash(&parts)),
        }
    }
}

fn hash(pieces: &[&[u8]]) -> u64 {
    let mut hasher = StableHasher::new();
    for piece in pieces {
        hasher.write(piece);
    }
    hasher.finish()
}

/// Where callers name the conversation that a call belongs to.
const SESSION: HeaderName = HeaderName::from_static("x-session-id");

/// A request body with a hole for the upstream's model name.
pub(crate) enum Payload<B> {
    /// The whole of it.
    Whole(Template),
    /// Its beginning, and the rest that is still arriving.
    Streaming(Template, Box<MultipartRest<B>>),
}

/// Reads as much of a body as it takes to know the call.
pub(crate) async fn ingest<B: RequestSource>(
    endpoint: Endpoint,
    head: &Parts,
    body: B,
    entered: Entered,
    settlement: &mut Settlement,
) -> Result<Ingested<B>, Rejection> {
    let Entered { limits, doubt } = entered;
    settlement.note_endpoint(endpoint);
    refuse_declared_excess(&head.headers, limits.size)?;
    refuse_coded(&head.headers)?;
    let mut body = BoundedBody::new(body, limits);
    body.has_to_end_by(settlement.started() + limits.total);
    if doubt.is_some() {
        body.read_at_most(Doubt::MOST);
    }
    let ingested = match endpoint.body_kind() {
        BodyKind::Json => ingest_json(endpoint, head, &mut body, settlement).await,
        BodyKind::Multipart => Box::pin(ingest_multipart(endpoint, head, body, settlement)).await,
    };
    match (ingested, doubt) {
        (Err(Rejection::BodyTooLarge { .. }), Some(doubt)) => Err(doubt.refuse(settlement)),
        (ingested, _) => ingested,
    }
}

async fn ingest_json<B: RequestSource>(
    endpoint: Endpoint,
    head: &Parts,
    body: &mut BoundedBody<B>,
    settlement: &mut Settlement,
) -> Result<Ingested<B>, Rejection> {
    if !is_json(&head.headers) {
        return Err(Rejection::UnsupportedMediaType { expected: "application/json" });
    }
    let bytes = settlement.wait_for(read_whole(body)).await?;
    let parsed = parse_json(endpoint, bytes)?;
    let (asked, template) = Asked::new(parsed, head);
    Ok(Ingested { asked, payload: Payload::Whole(template) })
}

async fn ingest_multipart<B: RequestSource>(
    endpoint: Endpoint,
    head: &Parts,
    mut body: BoundedBody<B>,
    settlement: &mut Settlement,
) -> Result<Ingested<B>, Rejection> {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = content_type
        .and_then(boundary)
        .ok_or(Rejection::UnsupportedMediaType { expected: "multipart/form-data; boundary=…" })?;
    let mut scanner = MultipartScanner::new(&boundary);
    loop {
        if let Some(parsed) = scanner.take_request(endpoint) {
            if body.is_end_stream() {
                scanner.finish().map_err(RequestError::from)?;
            }
            let (asked, template) = Asked::new(parsed, head);
            // What it needs is known now.
            body.read_all();
            let payload = Payload::Streaming(template, Box::new(MultipartRest::new(scanner, body)));
            return Ok(Ingested { asked, payload });
        }
        let Some(chunk) = settlement.wait_for(next_chunk(&mut body)).await? else {
            scanner.finish().map_err(RequestError::from)?;
            return Err(RequestError::from(MultipartError::MissingModel).into());
        };
        scanner.push(chunk).map_err(RequestError::from)?;
    }
}

/// A body in one piece; the usual one that arrives in one piece is not copied.
async fn read_whole<B: RequestSource>(body: &mut BoundedBody<B>) -> Result<Bytes, Rejection> {
    let Some(first) = next_chunk(body).await? else { return Ok(Bytes::new()) };
    let Some(second) = next_chunk(body).await? else { return Ok(first) };
    let expected = body.size_hint().lower();
    let expected = usize::try_from(expected).unwrap_or(0);
    let mut whole = BytesMut::with_capacity(first.len() + second.len() + expected);
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(chunk) = next_chunk(body).await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

async fn next_chunk<B: RequestSource>(body: &mut BoundedBody<B>) -> Result<Option<Bytes>, Rejection> {
    // A bounded body has nothing but data.
    body.frame().await.transpose().map(|frame| frame.and_then(|frame| frame.into_data().ok()))
}

/// Refuses a body that is too large by its own account, before any of it is read.
pub(crate) fn refuse_declared_excess(headers: &HeaderMap, limit: u64) -> Result<(), Rejection> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match declared {
        Some(length) if length > limit => Err(Rejection::BodyTooLarge { limit }),
        _ => Ok(()),
    }
}

/// A compressed body could hide its model from the gateway, and inflate beyond any limit.
fn refuse_coded(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    Err(Rejection::CompressedBody)
}

/// Whether the body claims to be JSON. One that claims nothing is not taken for it: a page in a browser may send such a
/// body anywhere without asking (Fetch Standard, CORS-safelisted request headers).
fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    if media_type == JSON {
        return true;
    }
    let Some((kind, subtype)) = media_type.split_once('/') else { return false };
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_told_by_its_media_type() {
        let claims = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            is_json(&headers)
        };
        assert!(!is_json(&HeaderMap::new()));
        assert!(claims("application/json"));
        assert!(claims("Application/JSON; charset=utf-8"));
        assert!(claims("application/vnd.api+json"));
        assert!(!claims("text/plain"));
        assert!(!claims("application/x-www-form-urlencoded"));
        assert!(!claims("application/jsonp"));
    }
}
