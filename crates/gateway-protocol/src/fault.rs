//! An error as an upstream put it, in the body of an error answer or wrapped in a success.
//!
//! There is no one shape: OpenAI sends `{"message","type","code"}`, others put an HTTP status into `code` or `status`, a
//! plain string in place of the object, or the members at the top level. All are read as far as they go; what the codes
//! mean is known to the [`Provider`](crate::Provider).

use serde_json::{Map, Value};

/// What an upstream's error says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFault {
    /// The HTTP status that the error names, 400 to 599.
    pub status: Option<u16>,
    /// The upstream's own words, at most 512 bytes. For the log; may hold anything.
    pub message: String,
    /// The error's `code`, where that is a text: the error itself. At most 64 bytes.
    pub code: Option<String>,
    /// The error's `type`, where that is a text: its class, often no more than a hint at the status. At most 64 bytes.
    pub kind: Option<String>,
}

impl UpstreamFault {
    /// Longest message that is kept, in bytes: enough to recognise an error, short enough for a log line.
    const MAX_MESSAGE: usize = 512;
    const MAX_CODE: usize = 64;
    /// Errors beyond this size, in bytes, are not taken apart.
    const MAX_PARSED: usize = 64 * 1024;

    /// Reads the body of an error answer. `None` if it is no JSON, of no known shape, or larger than 64 KiB.
    ///
    /// Known are OpenAI's `{"error":{…}}`, `{"error":"text"}` with `code` and `type` perhaps beside the text, the error's
    /// members at the top level, as Mistral and older releases of vLLM put them, and `{"detail":…}`, which `FastAPI` makes
    /// of errors that an application did not put into words.
    pub fn of_body(body: &[u8]) -> Option<Self> {
        let Some(Value::Object(members)) = parse(body) else { return None };
        match members.get("error") {
            Some(Value::Object(error)) => return Some(Self::of_members(error, body)),
            Some(Value::String(message)) => {
                return Some(Self { message: bounded(message, Self::MAX_MESSAGE), ..Self::of_members(&members, body) });
            }
            _ => {}
        }
        if members.get("message").is_some_and(Value::is_string) {
            return Some(Self::of_members(&members, body));
        }
        match members.get("detail")? {
            Value::String(message) => Some(Self::of_text(message)),
            Value::Object(detail) => Some(Self::of_members(detail, body)),
            Value::Array(_) => Some(Self::of_words(body)),
            _ => None,
        }
    }

    /// Reads an error from the bytes of the value that holds it.
    pub(crate) fn read(error: &[u8]) -> Self {
        match parse(error) {
            Some(Value::String(message)) => Self::of_text(&message),
            Some(Value::Object(members)) => Self::of_members(&members, error),
            _ => Self::of_words(error),
        }
    }

    /// Reads the members of an error object. Without a message the whole of `words` is taken for it.
    fn of_members(members: &Map<String, Value>, words: &[u8]) -> Self {
        let text = |name| members.get(name).and_then(Value::as_str);
        let status = ["code", "status", "status_code"];
        Self {
            status: status.into_iter().filter_map(|name| members.get(name)).find_map(http_status),
            message: text("message").map_or_else(|| lossy(words), |message| bounded(message, Self::MAX_MESSAGE)),
            code: text("code").map(|code| bounded(code, Self::MAX_CODE)),
            kind: text("type").map(|kind| bounded(kind, Self::MAX_CODE)),
        }
    }

    fn of_text(message: &str) -> Self {
        Self { status: None, message: bounded(message, Self::MAX_MESSAGE), code: None, kind: None }
    }

    fn of_words(words: &[u8]) -> Self {
        Self { status: None, message: lossy(words), code: None, kind: None }
    }
}

fn parse(error: &[u8]) -> Option<Value> {
    if error.len() > UpstreamFault::MAX_PARSED {
        return None;
    }
    serde_json::from_slice(error).ok()
}

fn http_status(value: &Value) -> Option<u16> {
    let number = match value {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    (400..600).contains(&number).then_some(number)
}

/// The bytes as text, as far as a message may go.
fn lossy(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(UpstreamFault::MAX_MESSAGE)];
    bounded(&String::from_utf8_lossy(start), UpstreamFault::MAX_MESSAGE)
}

fn bounded(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::json::tests::value;

    type Read<'a> = (Option<u16>, &'a str, Option<&'a str>, Option<&'a str>);

    fn parts(fault: &UpstreamFault) -> Read<'_> {
        (fault.status, &fault.message, fault.code.as_deref(), fault.kind.as_deref())
    }

    #[test]
    fn errors_of_every_shape_are_read() {
        for (text, expected) in [
            (r#"{"message":"slow down","type":"rate","code":429}"#, (Some(429), "slow down", None, Some("rate"))),
            (r#"{"message":"no","code":"server_error"}"#, (None, "no", Some("server_error"), None)),
            (r#"{"message":"no","code":"503"}"#, (Some(503), "no", Some("503"), None)),
            (r#"{"message":"no","code":200,"status":529}"#, (Some(529), "no", None, None)),
            (r#"{"message":"no","status":"UNAVAILABLE","code":600}"#, (None, "no", None, None)),
            (r#"{"message":"no","code":"a","type":"b"}"#, (None, "no", Some("a"), Some("b"))),
            (r#"{"message":null,"status_code":400}"#, (Some(400), r#"{"message":null,"status_code":400}"#, None, None)),
            (r#""broken \u00e4""#, (None, "broken ä", None, None)),
            ("true", (None, "true", None, None)),
            ("not json", (None, "not json", None, None)),
        ] {
            assert_eq!(parts(&UpstreamFault::read(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn bodies_of_every_shape_are_read() {
        for (body, expected) in [
            (
                r#"{"error":{"message":"m","type":"invalid_request_error","param":"messages","code":"too_long"}}"#,
                (None, "m", Some("too_long"), Some("invalid_request_error")),
            ),
            (r#"{"error":{"code":400,"message":"m","type":"t"}}"#, (Some(400), "m", None, Some("t"))),
            (r#"{"error":"m","error_type":"validation"}"#, (None, "m", None, None)),
            (r#"{"code":"The client is wrong","error":"m"}"#, (None, "m", Some("The client is wrong"), None)),
            (
                r#"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#,
                (Some(400), "m", None, Some("BadRequestError")),
            ),
            (r#"{"error":null,"message":"m","code":"c"}"#, (None, "m", Some("c"), None)),
            (r#"{"detail":"m"}"#, (None, "m", None, None)),
            (r#"{"detail":{"message":"m","code":422}}"#, (Some(422), "m", None, None)),
            (
                r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#,
                (None, r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#, None, None),
            ),
            (r#"{"error":{}}"#, (None, r#"{"error":{}}"#, None, None)),
        ] {
            assert_eq!(parts(&UpstreamFault::of_body(body.as_bytes()).unwrap()), expected, "{body}");
        }
        for body in [
            &b""[..],
            b"<html>",
            b"{}",
            b"[]",
            b"\"text\"",
            br#"{"error":true}"#,
            br#"{"message":7}"#,
            br#"{"detail":null}"#,
            b"{\"error\":\"\xff\"}",
        ] {
            assert_eq!(UpstreamFault::of_body(body), None, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        let fault = UpstreamFault::read(format!("\"{}\"", "€".repeat(1000)).as_bytes());
        assert_eq!(fault.message, "€".repeat(170));
        let long = format!(r#"{{"error":{{"message":"m","code":"{0}","type":"{0}"}}}}"#, "x".repeat(1000));
        let fault = UpstreamFault::of_body(long.as_bytes()).unwrap();
        assert_eq!((fault.code.unwrap().len(), fault.kind.unwrap().len()), (64, 64));
        let huge = format!(r#"{{"message":"{}"}}"#, "x".repeat(100_000));
        assert_eq!(UpstreamFault::read(huge.as_bytes()).message.len(), 512);
        assert_eq!(UpstreamFault::of_body(huge.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_bounded(error in value(), name in "(error|message|detail|code)") {
            let body = format!(r#"{{"{name}":{error}}}"#);
            let found = [Some(UpstreamFault::read(error.as_bytes())), UpstreamFault::of_body(body.as_bytes())];
            for fault in found.into_iter().flatten() {
                prop_assert!(fault.message.len() <= 512);
                prop_assert!(fault.code.is_none_or(|code| code.len() <= 64));
                prop_assert!(fault.kind.is_none_or(|kind| kind.len() <= 64));
                prop_assert!(fault.status.is_none_or(|status| (400..600).contains(&status)));
            }
        }
    }
}
