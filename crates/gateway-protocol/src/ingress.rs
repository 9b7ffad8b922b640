//! From a request's bytes to a call.
//!
//! One pass over the body validates all of it, finds the guarded members and notes the edits that make it fit to be
//! forwarded. What went wrong in a body that is not JSON is found out by a second, slower reader, which only refused
//! bodies pay for.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use gateway_call::{Call, Endpoint, ModelName};

use crate::conversation::Marks;
use crate::edit::{Cutter, Edit, Insert};
use crate::gateway_member::{MAX_LISTED, Wishes, parse_list, parse_name, parse_wishes};
use crate::guard::{Guarded, Seen, Spelling, judge_json};
use crate::json::{Malformed, Quoted, Scanner};
use crate::prompt::{MEASURED_FROM, measure};
use crate::stream_options::{self, UsageWish, read_stream_options};
use crate::template::Quoting;
use crate::{Conversation, MultipartError, Prompt, Sizing, Template};

/// A request body, understood.
#[derive(Debug)]
pub struct ParsedRequest {
    /// What the caller asked for.
    pub call: Call,
    /// The body to send, once it is known which name the upstream has for the model.
    pub template: Template,
    /// Which conversation the call is part of.
    pub conversation: Conversation,
    /// Whether the caller itself asked for the usage of its stream, with `stream_options.include_usage`.
    pub usage_asked: bool,
    /// How much of an answer the request allows.
    pub sizing: Sizing,
    /// What of the body the model is to read.
    pub prompt: Prompt,
}

/// Why a request body cannot be served. Its text is the public message; the status is 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not JSON.
    #[error(
        "The request body is not valid JSON: {problem} at line {line} column {column}. Correct it and send the request \
         again."
    )]
    InvalidJson {
        /// Line of the first offending byte, from 1.
        line: usize,
        /// Column of the first offending byte, from 1; 0 if the line break before the line is at fault.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// JSON, but not an object.
    #[error("The request body is not a JSON object. Send one that names a `model`.")]
    NotAnObject,
    /// No model is named anywhere.
    #[error("The request names no model. Set `model` to one of the names listed at /v1/models.")]
    MissingModel,
    /// A member that decides about the call is given twice, or spelled in a way that some parsers take for it.
    #[error(
        "The field `{field}` is given more than once or in another spelling. Give it once, spelled exactly so; `model` \
         and `model_id` are the same field."
    )]
    DuplicateField {
        /// The member's proper spelling.
        field: &'static str,
    },
    /// The `gateway` member is wrong.
    #[error("The field `{field}` is not valid: {problem}. Correct it and send the request again.")]
    InvalidGatewayField {
        /// The path of the field, such as `gateway.models`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Another member that the gateway reads is wrong.
    #[error("The field `{field}` is not valid. It must be {expected}.")]
    InvalidField {
        /// The member's name.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A multipart body is wrong.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
}

impl RequestError {
    /// The `code` of the error for the caller, where the HTTP contract has one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::InvalidJson { .. } | Self::NotAnObject => Some("invalid_json"),
            Self::MissingModel => Some("missing_model"),
            Self::DuplicateField { .. } => Some("duplicate_field"),
            Self::InvalidGatewayField { .. } => Some("invalid_gateway_field"),
            Self::InvalidField { .. } => None,
            Self::Multipart(error) => error.code(),
        }
    }

    /// The field at fault.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::InvalidJson { .. } | Self::NotAnObject => None,
            Self::MissingModel => Some("model"),
            Self::DuplicateField { field } | Self::InvalidField { field, .. } => Some(field),
            Self::InvalidGatewayField { field, .. } => Some(field),
            Self::Multipart(error) => error.param(),
        }
    }
}

/// Reads a JSON request in one pass: validates the whole of it and finds what the gateway needs.
///
/// The members that only the gateway understands are cut out, `model_id` becomes `model`, and a body that names its
/// models in a list only gains a `model`. Every other byte is forwarded as it is.
pub fn parse_json(endpoint: Endpoint, body: Bytes) -> Result<ParsedRequest, RequestError> {
    simdutf8::basic::from_utf8(&body).map_err(|_| explain_utf8(&body))?;
    let mut envelope = Envelope::default();
    let verdict = envelope.scan(&body).map_err(|Malformed| explain(&body))?;
    verdict?;
    envelope.into_request(endpoint, body)
}

/// What the pass over a request found.
#[derive(Default)]
struct Envelope {
    /// Behind the opening brace.
    start: usize,
    seen: Seen,
    cutter: Cutter,
    edits: Vec<Edit>,
    /// There is a `model` member for the upstream's name to stand in.
    has_slot: bool,
    model: Option<ModelName>,
    stream: bool,
    wishes: Wishes,
    models: Vec<ModelName>,
    fallbacks: Vec<ModelName>,
    marks: Marks,
    usage_wish: UsageWish,
    sizing: Sizing,
    /// How long the texts are, of a large body.
    text_len: Option<usize>,
}

impl Envelope {
    /// Reads the whole body. That it is JSON at all is settled before any fault of a member is reported, so the
    /// outer error comes first.
    fn scan(&mut self, body: &[u8]) -> Result<Result<(), RequestError>, Malformed> {
        let mut scanner = Scanner::new(body);
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            return scanner.finish().map(|()| Err(RequestError::NotAnObject));
        }
        self.start = scanner.at() + 1;
        let mut fault = Ok(());
        let mut more = scanner.open(b'}')?;
        while more {
            let key = scanner.key()?;
            let value = self.value(body, &mut scanner, key)?;
            if fault.is_ok() {
                fault = self.member(body, key, value);
            }
            more = scanner.another(b'}')?;
        }
        scanner.finish()?;
        self.cutter.finish(&mut self.edits);
        Ok(fault)
    }

    /// Reads a member's value.
    fn value<'a>(
        &mut self,
        body: &'a [u8],
        scanner: &mut Scanner<'a>,
        key: Quoted<'_>,
    ) -> Result<Range<usize>, Malformed> {
        if body.len() <= MEASURED_FROM {
            return scanner.value();
        }
        let start = scanner.at();
        let text_len = measure(body, scanner, &key.meaning())?;
        self.text_len = Some(self.text_len.unwrap_or(0) + text_len);
        Ok(start..scanner.at())
    }

    fn member(&mut self, body: &[u8], key: Quoted<'_>, value: Range<usize>) -> Result<(), RequestError> {
        let member = key.start - 1..value.end;
        let guarded = match judge_json(key) {
            Spelling::Free => {
                self.sizing.note(&key.meaning(), &body[value.clone()]);
                self.marks.note(key.raw, value);
                self.keep(member);
                return Ok(());
            }
            Spelling::Varied(guarded) => return Err(RequestError::DuplicateField { field: guarded.name() }),
            Spelling::Exact(guarded) => guarded,
        };
        if !self.seen.insert(guarded) {
            return Err(RequestError::DuplicateField { field: guarded.name() });
        }
        let text = &body[value.clone()];
        match guarded {
            Guarded::Model | Guarded::ModelId => return self.model(guarded, key.start..key.end(), value, text),
            Guarded::Stream => {
                self.stream = parse_stream(text)?;
                self.keep(member);
                return Ok(());
            }
            Guarded::StreamOptions => {
                self.keep(member);
                self.usage_wish = read_stream_options(body, value, &mut self.edits)?;
                return Ok(());
            }
            Guarded::Gateway => self.wishes = parse_wishes(text)?,
            Guarded::Models => self.models = parse_list(guarded.name(), text)?,
            Guarded::Fallbacks => self.fallbacks = parse_list(guarded.name(), text)?,
        }
        self.cutter.cut(member, &mut self.edits);
        Ok(())
    }

    fn keep(&mut self, member: Range<usize>) {
        self.cutter.keep(member.start, &mut self.edits);
        self.cutter.end_kept(member.end);
    }

    fn model(
        &mut self,
        guarded: Guarded,
        key: Range<usize>,
        value: Range<usize>,
        text: &[u8],
    ) -> Result<(), RequestError> {
        if text != b"null" {
            self.model = Some(parse_name(guarded.name(), text)?);
        }
        self.keep(key.start - 1..value.end);
        if guarded == Guarded::ModelId {
            self.edits.push(Edit::new(key, Insert::Text("model")));
        }
        self.edits.push(Edit::new(value, Insert::Name));
        self.has_slot = true;
        Ok(())
    }

    fn into_request(mut self, endpoint: Endpoint, body: Bytes) -> Result<ParsedRequest, RequestError> {
        if !self.has_slot {
            let comma = if self.cutter.kept_any() { "," } else { "" };
            let member = [Insert::Text("\"model\":"), Insert::Name, Insert::Text(comma)];
            self.edits.splice(0..0, member.map(|insert| Edit::insertion(self.start, insert)));
        }
        stream_options::settle(self.usage_wish, (endpoint, self.stream), &mut self.edits);
        let template = Template::new(body.clone(), self.edits, Quoting::Json);
        let prompt = Prompt::new(body.clone(), self.text_len);
        let conversation = Conversation::new(body, self.marks);
        let Wishes { models, tightening, tags } = self.wishes;
        let lists = [models, self.models, self.fallbacks];
        let call = Call { endpoint, models: ranked(self.model, lists)?, stream: self.stream, tightening, tags };
        let (usage_asked, sizing) = (self.usage_wish == UsageWish::Asked, self.sizing);
        Ok(ParsedRequest { call, template, conversation, usage_asked, sizing, prompt })
    }
}

/// The model, then those of the lists that were not named before.
fn ranked(model: Option<ModelName>, lists: [Vec<ModelName>; 3]) -> Result<Vec<ModelName>, RequestError> {
    let limit = MAX_LISTED + usize::from(model.is_some());
    let mut models: Vec<_> = model.into_iter().collect();
    for name in lists.into_iter().flatten() {
        if !models.contains(&name) {
            models.push(name);
        }
    }
    if models.is_empty() {
        return Err(RequestError::MissingModel);
    }
    if models.len() > limit {
        let expected = "together with `gateway.models` and `fallbacks` at most 16 model names";
        return Err(RequestError::InvalidField { field: "models", expected });
    }
    Ok(models)
}

fn parse_stream(text: &[u8]) -> Result<bool, RequestError> {
    match text {
        b"true" => Ok(true),
        b"false" | b"null" => Ok(false),
        _ => Err(RequestError::InvalidField { field: "stream", expected: "true or false" }),
    }
}

/// Where and why the text is not JSON, in the words of `serde_json`.
fn explain(body: &[u8]) -> RequestError {
    let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body) else {
        // The laws in `json/tests.rs` say that both readers agree; a caller must get an answer even if they do not.
        return RequestError::InvalidJson { line: 1, column: 1, problem: "unexpected text".to_owned() };
    };
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem).to_owned();
    RequestError::InvalidJson { line, column, problem }
}

fn explain_utf8(body: &[u8]) -> RequestError {
    let valid = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
    let before = &body[..valid];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    RequestError::InvalidJson { line, column: valid - line_start + 1, problem: "invalid UTF-8".to_owned() }
}
