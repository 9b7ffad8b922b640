//! A request body with a hole where the upstream's model name goes.
//!
//! The body stays as the caller sent it, beside the list of its edits, and is written out for each upstream anew: each has its
//! own name for the model, and not each would understand the question for a stream's usage. A small body is copied; a large one
//! is sent in slices, so that a second upstream costs a few reference counts.

use std::iter;
use std::ops::Range;

use bytes::Bytes;
use gateway_call::ModelName;

use crate::Segments;
use crate::edit::{Edit, Insert, Piece, for_each_piece};
use crate::json::write::put_string;
use crate::segments::JOIN_LIMIT;

/// A request body that can be sent to any upstream: everything but the model's name is settled.
#[derive(Debug, Clone)]
pub struct Template {
    /// All of the body, or the first of its chunks.
    body: Bytes,
    more: Vec<Bytes>,
    /// Counted from the start of the body.
    edits: Vec<Edit>,
    quoting: Quoting,
}

/// A part of a body that is sent.
enum Part {
    /// This range of the caller's.
    Kept(Range<usize>),
    Text(&'static str),
    Name,
}

/// How a name stands in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// As a JSON string.
    Json,
    /// As it is.
    Raw,
}

impl Template {
    /// The template of a body that arrived in one piece.
    pub(crate) fn new(body: Bytes, edits: Vec<Edit>, quoting: Quoting) -> Self {
        Self { body, more: Vec::new(), edits, quoting }
    }

    /// The template of a body that arrived as `chunks`. The edits count from the start of the first.
    pub(crate) fn of_chunks(chunks: Vec<Bytes>, edits: Vec<Edit>, quoting: Quoting) -> Self {
        let mut chunks = chunks.into_iter();
        Self { body: chunks.next().unwrap_or_default(), more: chunks.collect(), edits, quoting }
    }

    /// The body with `upstream_model` in its place, escaped as the document wants it.
    ///
    /// Up to 4 KiB the body comes in one piece, which is cheaper to copy than to send in several; beyond that no byte
    /// of the caller's is copied.
    pub fn fill(&self, upstream_model: &ModelName) -> Segments {
        self.fill_with(upstream_model.as_str(), false)
    }

    /// The same, and the body asks for the usage of its stream: `stream_options.include_usage` is true in it, whatever the
    /// caller had there. Without [`Template::can_ask_usage`] there is no difference.
    ///
    /// The answer then has a frame that the caller did not ask for; [`crate::StreamRewriter::withholding_usage`] keeps it back.
    pub fn fill_asking_usage(&self, upstream_model: &ModelName) -> Segments {
        self.fill_with(upstream_model.as_str(), true)
    }

    /// Whether there is usage to ask for that the caller did not ask for: the request is for a stream of chat completions or
    /// completions, whose `stream_options` are absent, null or an object without `include_usage: true`.
    pub fn can_ask_usage(&self) -> bool {
        self.edits.iter().any(|edit| matches!(edit.insert, Insert::Ask(_)))
    }

    fn fill_with(&self, name: &str, asks: bool) -> Segments {
        // That of a name with escapes is longer, and then the body grows as it is written.
        let name_len = name.len() + if self.quoting == Quoting::Json { "\"\"".len() } else { 0 };
        let mut len = 0;
        self.for_each_part(asks, |part| {
            len += match part {
                Part::Kept(range) => range.len(),
                Part::Text(text) => text.len(),
                Part::Name => name_len,
            }
        });
        if len > JOIN_LIMIT { self.slices(name, asks) } else { Bytes::from(self.joined(name, asks, len)).into() }
    }

    fn joined(&self, name: &str, asks: bool, len: usize) -> Vec<u8> {
        let mut joined = Vec::with_capacity(len);
        self.for_each_part(asks, |part| match part {
            Part::Kept(range) => self.cut(range, |chunk, range| joined.extend_from_slice(&chunk[range])),
            Part::Text(text) => joined.extend_from_slice(text.as_bytes()),
            Part::Name => self.put_name(name, &mut joined),
        });
        joined
    }

    fn slices(&self, name: &str, asks: bool) -> Segments {
        let mut spelled = Vec::new();
        self.put_name(name, &mut spelled);
        let spelled = Bytes::from(spelled);
        let mut segments = Segments::default();
        self.for_each_part(asks, |part| match part {
            Part::Kept(range) => self.cut(range, |chunk, range| segments.push(chunk.slice(range))),
            Part::Text(text) => segments.push(Bytes::from_static(text.as_bytes())),
            Part::Name => segments.push(spelled.clone()),
        });
        segments
    }

    fn put_name(&self, name: &str, out: &mut Vec<u8>) {
        match self.quoting {
            Quoting::Json => put_string(out, name),
            Quoting::Raw => out.extend_from_slice(name.as_bytes()),
        }
    }

    fn for_each_part(&self, asks: bool, mut visit: impl FnMut(Part)) {
        let len = self.more.iter().fold(self.body.len(), |len, chunk| len + chunk.len());
        for_each_piece(len, &self.edits, |piece| match piece {
            Piece::Kept(range) => visit(Part::Kept(range)),
            Piece::New(Edit { range, insert }) => match insert {
                Insert::Text(text) => visit(Part::Text(text)),
                Insert::Name => visit(Part::Name),
                Insert::Ask(text) if asks => visit(Part::Text(text)),
                Insert::Ask(_) => visit(Part::Kept(range.clone())),
                // Only answers say who served.
                Insert::Served => {}
            },
        });
    }

    /// Visits the parts of the chunks, none of them empty, that make up a range of the body.
    fn cut(&self, range: Range<usize>, mut visit: impl FnMut(&Bytes, Range<usize>)) {
        let mut start = 0;
        for chunk in iter::once(&self.body).chain(&self.more) {
            let end = start + chunk.len();
            let (from, to) = (range.start.clamp(start, end), range.end.clamp(start, end));
            if from < to {
                visit(chunk, from - start..to - start);
            }
            start = end;
        }
    }
}
