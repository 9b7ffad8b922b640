//! Multipart requests: the `model` part found and rewritten in a body that arrives in chunks.
//!
//! The rules are those of RFC 7578 and RFC 2046, read narrowly: whatever lets two parsers see different parts (bare line
//! feeds, folded headers, text before the first boundary, a boundary with something behind it) is refused, because what
//! is authorised must be what is sent. Every byte is looked at once, and only the header block of the current part and
//! the value of a guarded part are held.

mod boundary;
mod head;
mod parameters;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use gateway_call::{Call, Endpoint, ModelName, Tightening};
use memchr::memchr;

pub use self::boundary::{Boundary, boundary};
use self::head::PartHead;
use crate::edit::{Edit, Insert};
use crate::gateway_member::{MAX_NAME, checked_name};
use crate::guard::{Guarded, Seen, Spelling, judge};
use crate::template::Quoting;
use crate::{Chunks, Conversation, ParsedRequest, Prompt, Sizing, Template};

/// Largest header block of a part, in bytes. Real ones have under 300.
const MAX_HEAD: usize = 8 * 1024;

/// Why a multipart body cannot be served. Its text is the public message; the status is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartError {
    /// Not a multipart body, or one that parsers read in different ways.
    #[error("The multipart body is malformed: {problem}. Correct it and send the request again.")]
    Malformed {
        /// What is wrong.
        problem: &'static str,
    },
    /// No part names a model.
    #[error("The request names no model. Add a `model` part with one of the names listed at /v1/models.")]
    MissingModel,
    /// A part that decides about the call is there twice, or spelled in a way that some parsers take for it.
    #[error(
        "The part `{field}` is given more than once or in another spelling. Give it once, spelled exactly so; `model` \
         and `model_id` are the same part."
    )]
    DuplicateField {
        /// The part's proper name.
        field: &'static str,
    },
    /// A part that the gateway reads is wrong.
    #[error("The part `{field}` is not valid. It must be {expected}.")]
    InvalidField {
        /// The part's name.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

impl MultipartError {
    /// The `code` of the error for the caller, where the HTTP contract has one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::MissingModel => Some("missing_model"),
            Self::DuplicateField { .. } => Some("duplicate_field"),
            Self::Malformed { .. } | Self::InvalidField { .. } => None,
        }
    }

    /// The part at fault.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::Malformed { .. } => None,
            Self::MissingModel => Some("model"),
            Self::DuplicateField { field } | Self::InvalidField { field, .. } => Some(field),
        }
    }
}

fn malformed(problem: &'static str) -> MultipartError {
    MultipartError::Malformed { problem }
}

/// Where in the body the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a part's content, or before the first boundary: looking for a line feed, two hyphens and the boundary.
    Content,
    /// Right behind a boundary.
    Boundary,
    /// Behind a boundary and one hyphen.
    Hyphen,
    /// Behind a boundary and a carriage return.
    CarriageReturn,
    /// In a part's header block.
    Head,
    /// Behind the last boundary.
    Epilogue,
}

/// What a part is to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// What stands before the first boundary.
    Preamble,
    /// A part whose value is read.
    Guarded(Guarded),
    /// Any other part.
    Free,
}

/// Finds the model in a multipart body that arrives in chunks, and sees to it that there is only one.
///
/// Push chunks until [`MultipartScanner::take_request`] gives the request, and go on pushing the chunks that follow
/// while they are forwarded: a second `model` further on must still be refused.
#[derive(Debug)]
pub struct MultipartScanner {
    /// A line feed, two hyphens, the boundary: how a boundary looks to a parser that does not ask for the carriage
    /// return before it.
    delimiter: Vec<u8>,
    state: State,
    part: Part,
    /// How much of the delimiter the last bytes match.
    matched: usize,
    /// The last byte is a carriage return.
    after_return: bool,
    /// There was a carriage return before the line feed that `matched` began with.
    proper_line_end: bool,
    /// Bytes of the body before the current chunk.
    offset: usize,
    /// Where the current part's content starts in the body.
    content_start: usize,
    head: Vec<u8>,
    /// The content of a guarded part, up to a little more than it may have.
    value: Vec<u8>,
    seen: Seen,
    model: Option<ModelName>,
    stream: bool,
    edits: Vec<Edit>,
    /// The chunks so far, until they are taken.
    collected: Option<Chunks>,
    failed: Option<MultipartError>,
}

impl MultipartScanner {
    /// A scanner for one body.
    pub fn new(boundary: &Boundary) -> Self {
        Self {
            delimiter: [b"\n--", boundary.as_bytes()].concat(),
            state: State::Content,
            part: Part::Preamble,
            // The start of the body counts as a line end.
            matched: 1,
            after_return: false,
            proper_line_end: true,
            offset: 0,
            content_start: 0,
            head: Vec::new(),
            value: Vec::new(),
            seen: Seen::default(),
            model: None,
            stream: false,
            edits: Vec::new(),
            collected: Some(Chunks::default()),
            failed: None,
        }
    }

    /// Takes the next chunk. Chunks are kept until [`MultipartScanner::take_request`] takes them, so how much may come
    /// before the model is for the caller to limit; afterwards they are only looked at.
    ///
    /// # Errors
    ///
    /// A body that must not be forwarded, in this call and in every later one.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), MultipartError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.scan(&chunk).inspect_err(|error| self.failed = Some(*error))?;
        self.offset += chunk.len();
        if let Some(collected) = &mut self.collected {
            collected.push(chunk);
        }
        Ok(())
    }

    /// The call, and a template of all chunks pushed so far; `None` until the model is known, and once it was taken.
    ///
    /// The call's `stream` is right if the `stream` part was among those chunks, which is where SDKs put it: parameters
    /// go before files.
    pub fn take_request(&mut self, endpoint: Endpoint) -> Option<ParsedRequest> {
        let models = vec![self.model.clone()?];
        let template =
            Template::of_chunks(self.collected.take()?.into_parts(), std::mem::take(&mut self.edits), Quoting::Raw);
        let tightening = Tightening::default();
        let call = Call { endpoint, models, stream: self.stream, tightening, tags: Vec::new() };
        Some(ParsedRequest {
            call,
            template,
            conversation: Conversation::default(),
            usage_asked: false,
            sizing: Sizing::default(),
            prompt: Prompt::default(),
        })
    }

    /// The verdict at the end of the body.
    pub fn finish(&self) -> Result<(), MultipartError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.state != State::Epilogue => Err(malformed("it ends before its last boundary")),
            None if self.model.is_none() => Err(MultipartError::MissingModel),
            None => Ok(()),
        }
    }

    fn scan(&mut self, chunk: &[u8]) -> Result<(), MultipartError> {
        let mut at = 0;
        while let Some(byte) = chunk.get(at) {
            at = match (self.state, byte) {
                (State::Content, _) => self.scan_content(chunk, at)?,
                (State::Head, _) => self.scan_head(chunk, at)?,
                (State::Boundary, b'-') => self.enter(State::Hyphen, at),
                (State::Boundary, b'\r') => self.enter(State::CarriageReturn, at),
                (State::Hyphen, b'-') => self.enter(State::Epilogue, at),
                (State::CarriageReturn, b'\n') => self.enter(State::Head, at),
                (State::Epilogue, b'\r' | b'\n' | b' ' | b'\t') => at + 1,
                (State::Epilogue, _) => return Err(malformed("something stands behind its last boundary")),
                _ => return Err(malformed("a boundary is not the whole of its line")),
            };
        }
        Ok(())
    }

    fn enter(&mut self, state: State, at: usize) -> usize {
        self.state = state;
        at + 1
    }

    /// Goes through content from `at` up to the end of the chunk or of a boundary, and says where that is.
    fn scan_content(&mut self, chunk: &[u8], mut at: usize) -> Result<usize, MultipartError> {
        while at < chunk.len() {
            if self.matched == 0 {
                let Some(length) = memchr(b'\n', &chunk[at..]) else {
                    self.take_content(&chunk[at..])?;
                    return Ok(chunk.len());
                };
                let (before, behind) = chunk.split_at(at + length);
                self.take_content(&before[at..])?;
                self.proper_line_end = self.after_return;
                self.take_content(&behind[..1])?;
                self.matched = 1;
                at += length + 1;
            } else if chunk[at] == self.delimiter[self.matched] {
                self.matched += 1;
                at += 1;
                if self.matched == self.delimiter.len() {
                    self.end_content(self.offset + at)?;
                    return Ok(at);
                }
            } else {
                // Content after all. It cannot hold the start of another match, which would be a line feed.
                let matched = std::mem::take(&mut self.matched);
                let content = self.delimiter[1..matched].to_vec();
                self.take_content(&content)?;
            }
        }
        Ok(at)
    }

    fn take_content(&mut self, content: &[u8]) -> Result<(), MultipartError> {
        if let Some(last) = content.last() {
            self.after_return = *last == b'\r';
        }
        match self.part {
            Part::Free => {}
            Part::Preamble if content.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => {}
            Part::Preamble => return Err(malformed("it does not start with the boundary that its content type names")),
            Part::Guarded(_) => {
                // One byte more than may be, and the line end that belongs to the boundary.
                let room = (MAX_NAME + 3).saturating_sub(self.value.len());
                self.value.extend_from_slice(&content[..content.len().min(room)]);
            }
        }
        Ok(())
    }

    /// A part ended with the boundary that ends at `end` in the body.
    fn end_content(&mut self, end: usize) -> Result<(), MultipartError> {
        if !self.proper_line_end {
            return Err(malformed("a line feed without a carriage return stands before a boundary"));
        }
        self.state = State::Boundary;
        self.after_return = false;
        let part = std::mem::replace(&mut self.part, Part::Free);
        if part == Part::Preamble {
            return Ok(());
        }
        // The carriage return is not counted in the delimiter.
        let content_end = end - self.delimiter.len() - 1;
        if content_end < self.content_start {
            return Err(malformed("a boundary follows a part's headers without a line between them"));
        }
        let Part::Guarded(guarded) = part else { return Ok(()) };
        let mut value = std::mem::take(&mut self.value);
        value.truncate(value.len().saturating_sub(b"\r\n".len()));
        let whole = content_end - self.content_start;
        let text = std::str::from_utf8(&value).ok().filter(|text| text.len() == whole);
        self.take_value(guarded, text, content_end)
    }

    /// The value of a guarded part, `None` if it is too long or no text.
    fn take_value(&mut self, guarded: Guarded, text: Option<&str>, end: usize) -> Result<(), MultipartError> {
        if guarded == Guarded::Stream {
            self.stream = match text {
                Some(text) if text.eq_ignore_ascii_case("true") => true,
                Some(text) if text.eq_ignore_ascii_case("false") => false,
                _ => return Err(MultipartError::InvalidField { field: "stream", expected: "true or false" }),
            };
            return Ok(());
        }
        let expected = "a non-empty text of at most 256 bytes without control characters";
        let invalid = MultipartError::InvalidField { field: guarded.name(), expected };
        self.model = Some(text.and_then(checked_name).ok_or(invalid)?);
        self.edits.push(Edit::new(self.content_start..end, Insert::Name));
        Ok(())
    }

    /// Collects the header block from `at` on, up to the blank line that ends it, and says where that is.
    fn scan_head(&mut self, chunk: &[u8], mut at: usize) -> Result<usize, MultipartError> {
        while at < chunk.len() {
            let line = memchr(b'\n', &chunk[at..]).map_or(chunk.len(), |length| at + length + 1);
            if self.head.len() + (line - at) > MAX_HEAD {
                return Err(malformed("the headers of a part have more than 8 KiB"));
            }
            self.head.extend_from_slice(&chunk[at..line]);
            at = line;
            if self.head == b"\r\n" {
                return Err(malformed("a part has no headers"));
            }
            if self.head.ends_with(b"\r\n\r\n") {
                self.begin_part(self.offset + at)?;
                break;
            }
        }
        Ok(at)
    }

    /// A part's header block is complete; its content starts at `start` in the body.
    fn begin_part(&mut self, start: usize) -> Result<(), MultipartError> {
        let head = std::mem::take(&mut self.head);
        self.part = self.judge_part(&head, start - head.len())?;
        self.state = State::Content;
        self.content_start = start;
        // The blank line counts as the line end before a boundary, to see (and refuse) one that follows at once.
        self.matched = 1;
        self.proper_line_end = true;
        self.value.clear();
        Ok(())
    }

    fn judge_part(&mut self, head: &[u8], head_start: usize) -> Result<Part, MultipartError> {
        let part = PartHead::parse(head).map_err(malformed)?;
        let guarded = match judge(&head[part.name.clone()]) {
            // Streams of multipart requests have no options.
            Spelling::Free | Spelling::Exact(Guarded::StreamOptions) | Spelling::Varied(Guarded::StreamOptions) => {
                return Ok(Part::Free);
            }
            Spelling::Varied(guarded) => return Err(MultipartError::DuplicateField { field: guarded.name() }),
            Spelling::Exact(guarded) => guarded,
        };
        let field = guarded.name();
        if !self.seen.insert(guarded) {
            return Err(MultipartError::DuplicateField { field });
        }
        if matches!(guarded, Guarded::Gateway | Guarded::Models | Guarded::Fallbacks) {
            let expected = "left out, because it is read in JSON requests only";
            return Err(MultipartError::InvalidField { field, expected });
        }
        if part.is_file || part.is_encoded {
            let expected = "a plain value, without a file name or a transfer encoding";
            return Err(MultipartError::InvalidField { field, expected });
        }
        if guarded == Guarded::ModelId {
            let name = head_start + part.name.start..head_start + part.name.end;
            self.edits.push(Edit::new(name, Insert::Text("model")));
        }
        Ok(Part::Guarded(guarded))
    }
}
