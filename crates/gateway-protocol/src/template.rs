//! A request body with a hole where the upstream's model name goes.
//!
//! The pieces around the hole are slices of the caller's body, so that sending it to a second upstream costs a few
//! reference counts. A name is written for each upstream anew, because each has its own.

use std::borrow::Cow;

use bytes::Bytes;
use gateway_call::ModelName;

use crate::Segments;
use crate::edit::{Edit, Insert, Piece, pieces};
use crate::segments::JOIN_LIMIT;
use crate::served::to_json;

/// A request body that can be sent to any upstream: everything but the model's name is settled.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
    quoting: Quoting,
}

#[derive(Debug, Clone)]
enum Part {
    Bytes(Bytes),
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
    /// The template of a body that arrived as `chunks`. The edits count from the start of the first chunk.
    pub(crate) fn new(chunks: &[Bytes], edits: &[Edit], quoting: Quoting) -> Self {
        let len = chunks.iter().map(Bytes::len).sum();
        let mut parts = Vec::with_capacity(2 * edits.len() + chunks.len());
        for piece in pieces(len, edits) {
            match piece {
                Piece::Kept(range) => parts.extend(cut(chunks, range.start, range.end).map(Part::Bytes)),
                Piece::New(Insert::Text(text)) => parts.push(Part::Bytes(Bytes::from_static(text.as_bytes()))),
                Piece::New(Insert::Name) => parts.push(Part::Name),
                Piece::New(Insert::Served) => {}
            }
        }
        Self { parts, quoting }
    }

    /// The body with `upstream_model` in its place, escaped as the document wants it.
    ///
    /// Up to 4 KiB the body comes in one piece, which is cheaper to copy than to send in several; beyond that no byte
    /// of the caller's is copied.
    pub fn fill(&self, upstream_model: &ModelName) -> Segments {
        let name = self.quote(upstream_model);
        let len = self.len_with(&name);
        if len > JOIN_LIMIT as u64 {
            let name = Bytes::copy_from_slice(&name);
            return self.parts.iter().map(|part| part.or(&name).clone()).collect();
        }
        let mut joined = Vec::with_capacity(usize::try_from(len).unwrap_or(JOIN_LIMIT));
        for part in &self.parts {
            joined.extend_from_slice(match part {
                Part::Bytes(bytes) => bytes,
                Part::Name => &name,
            });
        }
        Bytes::from(joined).into()
    }

    fn quote<'a>(&self, name: &'a ModelName) -> Cow<'a, [u8]> {
        match self.quoting {
            Quoting::Json => Cow::Owned(to_json(name.as_str())),
            Quoting::Raw => Cow::Borrowed(name.as_str().as_bytes()),
        }
    }

    fn len_with(&self, name: &[u8]) -> u64 {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::Name => name.len() as u64,
        });
        lengths.sum()
    }
}

impl Part {
    fn or<'a>(&'a self, name: &'a Bytes) -> &'a Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Name => name,
        }
    }
}

/// The slices of `chunks` that make up a range of their concatenation; none of them empty.
fn cut(chunks: &[Bytes], start: usize, end: usize) -> impl Iterator<Item = Bytes> + '_ {
    let mut chunk_start = 0;
    chunks.iter().filter_map(move |chunk| {
        let from = start.clamp(chunk_start, chunk_start + chunk.len()) - chunk_start;
        let to = end.clamp(chunk_start, chunk_start + chunk.len()) - chunk_start;
        chunk_start += chunk.len();
        (from < to).then(|| chunk.slice(from..to))
    })
}
