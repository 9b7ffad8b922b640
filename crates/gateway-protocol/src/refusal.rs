//! Errors and lists in the shapes that the caller's SDK expects.
//!
//! The error shape is that of OpenAI's API reference ("Error codes"), which every SDK of the family reads.

use bytes::Bytes;
use gateway_call::{AttemptRecord, RequestId};
use http::StatusCode;
use serde::Serialize;

use crate::served::{put_trail, to_json};

/// An answer that is not the upstream's: what went wrong, in public words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The class of the error, `error.type`.
    pub kind: &'static str,
    /// The error itself, for programs.
    pub code: Option<&'static str>,
    /// The error itself, for people. Must not hold keys, URLs or paths.
    pub message: String,
    /// The request's field at fault.
    pub param: Option<String>,
    /// What was tried, if anything was.
    pub attempts: Option<Trail>,
}

/// The attempts behind a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// All attempts in order.
    pub attempts: Vec<AttemptRecord>,
    /// The request's identifier.
    pub request_id: RequestId,
}

#[derive(Serialize)]
struct ErrorMember<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// The body of a refused call, as JSON: `{"error":{…}}`, with `gateway` beside it if anything was tried.
pub fn refusal_body(refusal: &Refusal) -> Bytes {
    let mut body = error_document(refusal);
    if let Some(Trail { attempts, request_id }) = &refusal.attempts {
        body.extend_from_slice(b",\"gateway\":{");
        put_trail(&mut body, attempts, request_id);
        body.push(b'}');
    }
    body.push(b'}');
    body.into()
}

/// A comment for a stream that is silent, so that nobody on the way takes its connection for dead. Readers of event
/// streams ignore it (WHATWG HTML, section 9.2.6 "Interpreting an event stream": a line that starts with a colon).
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// The last event of a stream that broke: `{"error":{…}}` as one frame.
pub fn refusal_frame(refusal: &Refusal) -> Bytes {
    let mut frame = b"data: ".to_vec();
    frame.append(&mut error_document(refusal));
    frame.extend_from_slice(b"}\n\n");
    frame.into()
}

/// The object with the error, but for the brace that ends it.
fn error_document(refusal: &Refusal) -> Vec<u8> {
    let Refusal { message, kind, code, param, .. } = refusal;
    let mut document = b"{\"error\":".to_vec();
    document.append(&mut to_json(&ErrorMember { message, kind, param: param.as_deref(), code: *code }));
    document
}

#[derive(Serialize)]
struct ModelList<'a> {
    object: &'static str,
    data: Vec<ModelObject<'a>>,
}

#[derive(Serialize)]
struct ModelObject<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> From<&'a str> for ModelObject<'a> {
    fn from(id: &'a str) -> Self {
        // The gateway does not know when a model was made; SDKs demand a number.
        Self { id, object: "model", created: 0, owned_by: "gateway" }
    }
}

/// The body of `GET /v1/models`.
pub fn model_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Bytes {
    let data = names.into_iter().map(ModelObject::from).collect();
    to_json(&ModelList { object: "list", data }).into()
}

/// The body of `GET /v1/models/{id}`.
pub fn model_object(name: &str) -> Bytes {
    to_json(&ModelObject::from(name)).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gateway_call::Outcome;

    use super::*;

    fn refusal() -> Refusal {
        Refusal {
            status: StatusCode::BAD_GATEWAY,
            kind: "upstream_error",
            code: Some("upstream_error"),
            message: "all \"attempts\" failed".to_owned(),
            param: None,
            attempts: None,
        }
    }

    #[test]
    fn refusals_have_the_shape_that_sdks_read() {
        let error = r#"{"error":{"message":"all \"attempts\" failed","type":"upstream_error","param":null,"code":"upstream_error"}}"#;
        assert_eq!(refusal_body(&refusal()), error);
        assert_eq!(refusal_frame(&refusal()), format!("data: {error}\n\n"));
        let bare = Refusal { code: None, param: Some("stream".to_owned()), message: String::new(), ..refusal() };
        let error = r#"{"error":{"message":"","type":"upstream_error","param":"stream","code":null}}"#;
        assert_eq!(refusal_body(&bare), error);
    }

    #[test]
    fn a_trail_stands_beside_the_error_but_not_in_a_stream() {
        let attempt = AttemptRecord {
            model: "m".into(),
            entry: None,
            span: None,
            began: Duration::ZERO,
            head: None,
            provider: "p".into(),
            provider_type: "openai".into(),
            upstream_model: "u".into(),
            outcome: Outcome::Transport,
            status: None,
            elapsed: Duration::from_millis(3),
        };
        let trail = Trail { attempts: vec![attempt], request_id: RequestId::from_random(1) };
        let refusal = Refusal { attempts: Some(trail), message: "m".to_owned(), ..refusal() };
        let expected = concat!(
            r#"{"error":{"message":"m","type":"upstream_error","param":null,"code":"upstream_error"},"#,
            r#""gateway":{"attempts":[{"model":"m","provider":"p","outcome":"transport","status":null,"ms":3}],"#,
            r#""request_id":"req_00000000000000000000000000000001"}}"#
        );
        assert_eq!(refusal_body(&refusal), expected);
        assert!(!refusal_frame(&refusal).windows(9).any(|window| window == b"\"gateway\""));
    }

    #[test]
    fn models_are_listed_as_sdks_read_them() {
        let object = r#"{"id":"a\"b","object":"model","created":0,"owned_by":"gateway"}"#;
        assert_eq!(model_object("a\"b"), object);
        assert_eq!(model_list(["a\"b"]), format!(r#"{{"object":"list","data":[{object}]}}"#));
        assert_eq!(model_list([]), r#"{"object":"list","data":[]}"#);
    }
}
