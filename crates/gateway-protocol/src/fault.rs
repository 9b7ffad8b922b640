//! An error that an upstream wrapped in a success.
//!
//! There is no one shape: OpenAI sends `{"message","type","code"}`, others put an HTTP status into `code` or `status`, a
//! plain string in place of the object, or the members at the top level. All are read as far as they go.

use serde_json::Value;

/// What an error object says, found in an answer with status 200 or in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFault {
    /// The HTTP status that the error names, 400 to 599.
    pub status: Option<u16>,
    /// The upstream's own words, at most 512 bytes. For the log; may hold anything.
    pub message: String,
    /// The error's `code`, or its `type` where `code` is no text; at most 64 bytes.
    pub code: Option<String>,
}

impl UpstreamFault {
    /// Longest message that is kept, in bytes: enough to recognise an error, short enough for a log line.
    const MAX_MESSAGE: usize = 512;
    const MAX_CODE: usize = 64;
    /// Errors beyond this size, in bytes, are not taken apart.
    const MAX_PARSED: usize = 64 * 1024;

    /// Reads an error from the bytes of the value that holds it.
    pub(crate) fn read(error: &[u8]) -> Self {
        let parsed = if error.len() <= Self::MAX_PARSED { serde_json::from_slice(error).ok() } else { None };
        match parsed {
            Some(Value::String(message)) => Self::of_text(&message),
            Some(Value::Object(members)) => {
                let text = |name| members.get(name).and_then(Value::as_str);
                let status = ["code", "status", "status_code"];
                Self {
                    status: status.into_iter().filter_map(|name| members.get(name)).find_map(http_status),
                    message: text("message")
                        .map_or_else(|| lossy(error), |message| bounded(message, Self::MAX_MESSAGE)),
                    code: text("code").or(text("type")).map(|code| bounded(code, Self::MAX_CODE)),
                }
            }
            _ => Self { status: None, message: lossy(error), code: None },
        }
    }

    fn of_text(message: &str) -> Self {
        Self { status: None, message: bounded(message, Self::MAX_MESSAGE), code: None }
    }
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
    use super::*;

    #[test]
    fn errors_of_every_shape_are_read() {
        for (text, status, message, code) in [
            (r#"{"message":"slow down","type":"rate","code":429}"#, Some(429), "slow down", Some("rate")),
            (r#"{"message":"no","code":"server_error"}"#, None, "no", Some("server_error")),
            (r#"{"message":"no","code":"503"}"#, Some(503), "no", Some("503")),
            (r#"{"message":"no","code":200,"status":529}"#, Some(529), "no", None),
            (r#"{"message":"no","status":"UNAVAILABLE","code":600}"#, None, "no", None),
            (r#"{"message":null,"status_code":400}"#, Some(400), r#"{"message":null,"status_code":400}"#, None),
            (r#""broken \u00e4""#, None, "broken ä", None),
            ("true", None, "true", None),
            ("not json", None, "not json", None),
        ] {
            let fault = UpstreamFault::read(text.as_bytes());
            assert_eq!((fault.status, &*fault.message, fault.code.as_deref()), (status, message, code), "{text}");
        }
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        let fault = UpstreamFault::read(format!("\"{}\"", "€".repeat(1000)).as_bytes());
        assert_eq!(fault.message, "€".repeat(170));
        let huge = format!(r#"{{"message":"{}"}}"#, "x".repeat(100_000));
        assert_eq!(UpstreamFault::read(huge.as_bytes()).message.len(), 512);
    }
}
