//! An answer, read and checked as it comes in.

use std::fmt;
use std::io;

use super::chunked::Chunked;
use super::expected::{Compared, Expected};

/// Fields of a head that are read.
const MOST_FIELDS: usize = 64;
const MOST_HEAD: usize = 16 << 10;
/// How much of an unexpected body a message shows.
const SHOWN: usize = 200;

/// What was wrong with an answer.
#[derive(Debug)]
pub(super) enum Fault {
    Connection(io::Error),
    /// The connection ended before the answer did.
    Cut,
    Head(String),
    Status(u16, String),
    Framing,
    Body {
        expected: String,
        found: String,
    },
    TooShort,
    TooLong,
    Member(String),
}

impl Fault {
    pub(super) fn other_body(expected: &[u8], found: &[u8]) -> Self {
        let first = expected.iter().zip(found).position(|(one, other)| one != other).unwrap_or_default();
        let shown = |text: &[u8]| {
            text[first.saturating_sub(SHOWN / 2)..]
                .iter()
                .take(SHOWN)
                .flat_map(|it| it.escape_ascii())
                .map(char::from)
                .collect()
        };
        Self::Body { expected: shown(expected), found: shown(found) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "the connection failed: {error}"),
            Self::Cut => f.write_str("the connection ended inside an answer"),
            Self::Head(problem) => write!(f, "no head of an answer: {problem}"),
            Self::Status(status, body) => write!(f, "status {status}: {body}"),
            Self::Framing => f.write_str("a chunked body that is not framed as one"),
            Self::Body { expected, found } => write!(f, "another body: `{found}` instead of `{expected}`"),
            Self::TooShort => f.write_str("a body that ends too early"),
            Self::TooLong => f.write_str("more bytes than the answer has"),
            Self::Member(found) => write!(f, "a member `gateway` that was not expected: `{found}`"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing of the body yet.
    Head,
    Body,
    Over,
}

/// How the end of a body is told.
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked(Chunked),
}

/// Reads one answer after another.
#[derive(Default)]
pub(super) struct Reader {
    /// A head that has not come whole.
    carried: Vec<u8>,
    framing: Option<Framing>,
    compared: Compared,
}

impl Reader {
    /// Takes what came of an answer.
    pub(super) fn feed(&mut self, expected: &Expected, mut data: &[u8]) -> Result<Progress, Fault> {
        if self.framing.is_none() {
            let carried = self.carried.len();
            let head = if carried == 0 {
                head(data)?
            } else {
                self.carried.extend_from_slice(data);
                head(&self.carried)?
            };
            let Some((length, framing)) = head else {
                if carried == 0 {
                    self.carried.extend_from_slice(data);
                }
                return if self.carried.len() > MOST_HEAD {
                    Err(Fault::Head("too long".to_owned()))
                } else {
                    Ok(Progress::Head)
                };
            };
            self.carried.clear();
            self.framing = Some(framing);
            self.compared.clear();
            data = &data[length - carried..];
        }
        if data.is_empty() { Ok(Progress::Head) } else { self.body(expected, data) }
    }

    fn body(&mut self, expected: &Expected, data: &[u8]) -> Result<Progress, Fault> {
        let Some(framing) = &mut self.framing else { return Ok(Progress::Head) };
        let compared = &mut self.compared;
        let (used, is_over) = match framing {
            Framing::Length(left) => {
                let used = data.len().min(*left);
                expected.compare(compared, &data[..used])?;
                *left -= used;
                (used, *left == 0)
            }
            Framing::Chunked(state) => {
                let used = state.feed(data, |bytes| expected.compare(compared, bytes))?;
                (used, *state == Chunked::Over)
            }
        };
        if used < data.len() {
            return Err(Fault::TooLong);
        }
        if !is_over {
            return Ok(Progress::Body);
        }
        self.framing = None;
        if expected.is_whole(compared) { Ok(Progress::Over) } else { Err(Fault::TooShort) }
    }
}

/// The length of a head and how its body ends; `None` if there is more to come.
fn head(data: &[u8]) -> Result<Option<(usize, Framing)>, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let parsed = answer.parse(data).map_err(|problem| Fault::Head(problem.to_string()))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    if answer.code != Some(200) {
        let body = data[length..].iter().take(SHOWN).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        return Err(Fault::Status(answer.code.unwrap_or_default(), body));
    }
    let value =
        |name: &str| answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    let content_length = value("content-length").and_then(|value| str::from_utf8(value).ok()?.parse().ok());
    let is_chunked = value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
    match (content_length, is_chunked) {
        (Some(bytes), false) => Ok(Some((length, Framing::Length(bytes)))),
        (None, true) => Ok(Some((length, Framing::Chunked(Chunked::default())))),
        _ => Err(Fault::Head("it does not say how the body ends".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{self, Ask, Kind};

    fn expected() -> Expected {
        Expected::new(&Ask { model: "bench-plain".to_owned(), key: "k".to_owned() }, Kind::Plain, false)
    }

    #[test]
    fn an_answer_may_be_cut_anywhere_and_be_followed_by_another() {
        let (expected, answer) = (expected(), exchange::plain_answer());
        let mut reader = Reader::default();
        for cut in 1..answer.len() {
            let (before, behind) = answer.as_bytes().split_at(cut);
            assert_ne!(reader.feed(&expected, before).unwrap(), Progress::Over, "cut at {cut}");
            assert_eq!(reader.feed(&expected, behind).unwrap(), Progress::Over, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let answer = exchange::plain_answer();
        let cases = [
            (answer.replace("200 OK", "503 No"), "status 503"),
            (answer.replace("content-length", "x-length"), "how the body ends"),
            (answer.replace("\"created\"", "\"Created\""), "another body"),
            (answer.clone() + "x", "more bytes"),
        ];
        for (answer, problem) in cases {
            let fault = Reader::default().feed(&expected(), answer.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(problem), "{fault}");
        }
    }
}
