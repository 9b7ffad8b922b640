//! A whole plain answer.

#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;

use crate::edit::{Edit, Insert, Piece, for_each_piece};
use crate::json::write::put_string;
use crate::reply::{Changes, Findings, Layout, Notes, scan_reply};
use crate::segments::JOIN_LIMIT;
use crate::{ReportedUsage, Segments, Served, UpstreamFault};

/// What a plain JSON answer holds that the gateway cares for; made by [`scan_answer`].
#[derive(Debug)]
pub struct AnswerScan {
    /// Whether the top level is an object. Anything else is valid JSON too and is left alone.
    pub is_object: bool,
    /// The error inside, if the object's `error` member is not null.
    pub error: Option<UpstreamFault>,
    /// The tokens that the call took, as far as the object's `usage` member says so.
    pub usage: ReportedUsage,
    edits: Vec<Edit>,
}

/// The answer is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream promised JSON and sent something else; treat the attempt as failed")]
#[non_exhaustive]
pub struct NotJson;

/// How many edits leave an answer in pieces at most; with more it is joined. An ordinary answer has three.
const MAX_EDITS: usize = 8;

/// Reads a plain answer. The whole of it is validated, its text encoding included.
pub fn scan_answer(body: &[u8]) -> Result<AnswerScan, NotJson> {
    simdutf8::basic::from_utf8(body).map_err(|_| NotJson)?;
    let mut notes = Notes { edits: Vec::with_capacity(4), holes: Vec::new() };
    let changes = Changes { name: true, withhold_usage: false };
    let findings = scan_reply(body, (Layout::Flat, changes), &mut notes).map_err(|_| NotJson)?;
    let mut edits = notes.edits;
    if let Some(findings) = &findings {
        findings.append_served(&mut edits);
    }
    let is_object = findings.is_some();
    let (error, usage) = findings.map_or((None, None), |Findings { error, usage, .. }| (error, usage));
    let error = error.map(|range| UpstreamFault::read(&body[range]));
    Ok(AnswerScan { is_object, error, usage: usage.unwrap_or_default(), edits })
}

/// The answer with its top-level `model` replaced, where that is text, and `gateway` as its last member. An upstream's
/// own `gateway` member is removed; every other byte stays.
///
/// `scan` must come from the same `body`. A body of up to 4 KiB becomes an answer in one piece; nothing of a longer one is copied.
pub fn annotate(body: &Bytes, scan: &AnswerScan, served: &Served<'_>) -> Segments {
    if scan.edits.is_empty() {
        return Segments::from(body.clone());
    }
    // A body with `model` over and over would otherwise go out in crumbs.
    if body.len() <= JOIN_LIMIT || scan.edits.len() > MAX_EDITS {
        return Bytes::from(joined(body, &scan.edits, served)).into();
    }
    let mut name = Vec::new();
    put_string(&mut name, served.model);
    let (name, member) = (Bytes::from(name), Bytes::from(served.member()));
    let mut annotated = Segments::default();
    for_each_piece(body.len(), &scan.edits, |piece| {
        annotated.push(match piece {
            Piece::Kept(range) => body.slice(range),
            Piece::New(edit) => match edit.insert {
                Insert::Text(text) => Bytes::from_static(text.as_bytes()),
                Insert::Name => name.clone(),
                Insert::Served => member.clone(),
                // Only requests ask.
                Insert::Ask(_) => Bytes::new(),
            },
        });
    });
    annotated
}

fn joined(body: &[u8], edits: &[Edit], served: &Served<'_>) -> Vec<u8> {
    let mut joined = Vec::with_capacity(body.len() + served.model.len() + served.member_len());
    for_each_piece(body.len(), edits, |piece| match piece {
        Piece::Kept(range) => joined.extend_from_slice(&body[range]),
        Piece::New(edit) => match edit.insert {
            Insert::Text(text) => joined.extend_from_slice(text.as_bytes()),
            Insert::Name => put_string(&mut joined, served.model),
            Insert::Served => served.put(&mut joined),
            Insert::Ask(_) => {}
        },
    });
    joined
}
