//! Finding out, as bytes come in, which answer a request wants and where it ends.

use memchr::memmem;

use crate::exchange::Kind;

/// The longest head that is read.
const MOST_HEAD: usize = 16 << 10;
/// Where in a body the model stands at the latest.
const MOST_LOOKED_AT: usize = 256;
const MODEL: &[u8] = b"\"model\":\"";

/// A request that is none of the load's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign;

/// What has been read of a request.
#[derive(Default)]
pub(super) struct Reading {
    /// The beginning of a request, until it is known what it asks for; empty for requests that come in one piece.
    carried: Vec<u8>,
    /// What it asks for, and how much of its body is still to come.
    asked: Option<(Kind, usize)>,
}

impl Reading {
    /// Takes what came; the kind of answer once the request has come whole. Requests do not come before the answer to the last one.
    pub(super) fn feed(&mut self, data: &[u8]) -> Result<Option<Kind>, Foreign> {
        if let Some((kind, left)) = self.asked {
            return self.take_body(kind, left, data.len());
        }
        let begun = if self.carried.is_empty() {
            begin(data)?
        } else {
            self.carried.extend_from_slice(data);
            begin(&self.carried)?
        };
        if let Some((kind, left)) = begun {
            self.carried.clear();
            return self.take_body(kind, left, 0);
        }
        if self.carried.is_empty() {
            self.carried.extend_from_slice(data);
        }
        if self.carried.len() > MOST_HEAD { Err(Foreign) } else { Ok(None) }
    }

    fn take_body(&mut self, kind: Kind, left: usize, came: usize) -> Result<Option<Kind>, Foreign> {
        let left = left.checked_sub(came).ok_or(Foreign)?;
        self.asked = (left > 0).then_some((kind, left));
        Ok((left == 0).then_some(kind))
    }
}

/// What the beginning of a request asks for, and how much of the body is missing; `None` if it is too short to say.
fn begin(data: &[u8]) -> Result<Option<(Kind, usize)>, Foreign> {
    let Some(head_end) = memmem::find(data, b"\r\n\r\n") else { return Ok(None) };
    let length = content_length(&data[..head_end]).ok_or(Foreign)?;
    let body = &data[head_end + 4..];
    let looked_at = &body[..body.len().min(MOST_LOOKED_AT)];
    match model(looked_at) {
        Some(name) => {
            let kind = Kind::of_model(name).ok_or(Foreign)?;
            Ok(Some((kind, length.checked_sub(body.len()).ok_or(Foreign)?)))
        }
        None if looked_at.len() < length.min(MOST_LOOKED_AT) => Ok(None),
        None => Err(Foreign),
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let lines = head.split(|byte| *byte == b'\n');
    let value =
        lines.filter_map(|line| line.split_at_checked(NAME.len())).find(|(name, _)| name.eq_ignore_ascii_case(NAME))?.1;
    str::from_utf8(value).ok()?.trim().parse().ok()
}

fn model(body: &[u8]) -> Option<&[u8]> {
    let begin = memmem::find(body, MODEL)? + MODEL.len();
    let end = begin + memchr::memchr(b'"', &body[begin..])?;
    Some(&body[begin..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST /v1/x HTTP/1.1\r\nhost: a\r\nContent-Length: ";

    fn request(body: &str) -> Vec<u8> {
        format!("{HEAD}{}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn a_request_may_be_cut_anywhere() {
        let whole = request(r#"{"model":"upstream-slow","messages":[]}"#);
        for cut in 1..whole.len() {
            let mut reading = Reading::default();
            assert_eq!(reading.feed(&whole[..cut]), Ok(None), "cut at {cut}");
            assert_eq!(reading.feed(&whole[cut..]), Ok(Some(Kind::Slow)), "cut at {cut}");
            assert_eq!(reading.feed(&whole), Ok(Some(Kind::Slow)));
        }
    }

    #[test]
    fn what_no_load_sends_is_foreign() {
        for body in [r#"{"model":"gpt-4o"}"#, &format!("{{\"a\":\"{}\"}}", "x".repeat(300))] {
            assert_eq!(Reading::default().feed(&request(body)), Err(Foreign));
        }
        assert_eq!(Reading::default().feed(b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"), Err(Foreign));
    }
}
