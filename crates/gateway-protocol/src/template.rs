//! A request body with a hole where the upstream's model name goes.
//!
//! The pieces around the hole are slices of the caller's body, so that sending it to a second upstream costs a few
//! reference counts. A name is written for each upstream anew, because each has its own; so is the question for a stream's
//! usage, because not each would understand it.

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
    /// What stands there, and what stands there in a body that asks for the usage of its stream.
    Ask {
        unasked: Bytes,
        asking: Bytes,
    },
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
                Piece::New(Edit { range, insert }) => match insert {
                    Insert::Text(text) => parts.push(Part::Bytes(Bytes::from_static(text.as_bytes()))),
                    Insert::Name => parts.push(Part::Name),
                    Insert::Ask(text) => {
                        // Only JSON asks, which is one chunk, so there is one piece at most.
                        let unasked = cut(chunks, range.start, range.end).next().unwrap_or_default();
                        parts.push(Part::Ask { unasked, asking: Bytes::from_static(text.as_bytes()) });
                    }
                    // Only answers say who served.
                    Insert::Served => {}
                },
            }
        }
        Self { parts, quoting }
    }

    /// The body with `upstream_model` in its place, escaped as the document wants it.
    ///
    /// Up to 4 KiB the body comes in one piece, which is cheaper to copy than to send in several; beyond that no byte
    /// of the caller's is copied.
    pub fn fill(&self, upstream_model: &ModelName) -> Segments {
        self.fill_with(upstream_model, false)
    }

    /// The same, and the body asks for the usage of its stream: `stream_options.include_usage` is true in it, whatever the
    /// caller had there. Without [`Template::can_ask_usage`] there is no difference.
    ///
    /// The answer then has a frame that the caller did not ask for; [`crate::StreamRewriter::withholding_usage`] keeps it back.
    pub fn fill_asking_usage(&self, upstream_model: &ModelName) -> Segments {
        self.fill_with(upstream_model, true)
    }

    /// Whether there is usage to ask for that the caller did not ask for: the request is for a stream of chat completions or
    /// completions, whose `stream_options` are absent, null or an object without `include_usage: true`.
    pub fn can_ask_usage(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Ask { .. }))
    }

    fn fill_with(&self, upstream_model: &ModelName, asks: bool) -> Segments {
        let name = self.quote(upstream_model);
        let len: usize = self.parts.iter().map(|part| part.text(asks).map_or(name.len(), Bytes::len)).sum();
        if len > JOIN_LIMIT {
            let name = Bytes::copy_from_slice(&name);
            return self.parts.iter().map(|part| part.text(asks).unwrap_or(&name).clone()).collect();
        }
        let mut joined = Vec::with_capacity(len);
        for part in &self.parts {
            joined.extend_from_slice(part.text(asks).map_or(&*name, |text| text));
        }
        Bytes::from(joined).into()
    }

    fn quote<'a>(&self, name: &'a ModelName) -> Cow<'a, [u8]> {
        match self.quoting {
            Quoting::Json => Cow::Owned(to_json(name.as_str())),
            Quoting::Raw => Cow::Borrowed(name.as_str().as_bytes()),
        }
    }
}

impl Part {
    /// What stands here; none where the name does.
    fn text(&self, asks: bool) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Name => None,
            Self::Ask { unasked, asking } => Some(if asks { asking } else { unasked }),
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
