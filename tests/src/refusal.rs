//! Error bodies as the HTTP contract writes them.

use crate::wire::Reply;

/// An error body; `param` and `code` are empty for null.
pub fn refusal(kind: &str, code: &str, param: &str, message: &str) -> String {
    let or_null = |text: &str| if text.is_empty() { serde_json::Value::Null } else { text.into() };
    let (message, param, code) = (serde_json::json!(message), or_null(param), or_null(code));
    format!(r#"{{"error":{{"message":{message},"type":"{kind}","param":{param},"code":{code}}}}}"#)
}

/// The same, of the type that most refusals have.
pub fn invalid(code: &str, param: &str, message: &str) -> String {
    refusal("invalid_request_error", code, param, message)
}

/// Panics unless the answer is this refusal, whole.
pub fn assert_refused(row: &str, reply: &Reply, status: u16, body: &str) {
    assert_eq!((reply.status, &*reply.body), (status, body), "{row}");
    assert_eq!(reply.header("content-type"), "application/json", "{row}");
    assert!(!reply.header("x-request-id").is_empty(), "{row}");
}
