//! Frames that are like one before.
//!
//! From frame to frame of a stream nothing changes but the text that the model wrote, and what some vendors number or pad their
//! frames with. So a frame that is one that was read before, but for such values, is compared instead of read: what it says
//! follows from what that one said. Only values are left open of which it is known what they change, and each is still read by the
//! rules of JSON, so that a frame is never taken for what reading it would not have found.

use std::ops::Range;

use super::{Choices, Findings};
use crate::ReportedUsage;
use crate::edit::Edit;
use crate::json::{Quoted, Scanner};

/// The largest payload that is remembered, in bytes. Frames with text are a few hundred.
const MAX_REMEMBERED: usize = 2048;

/// After so many frames in a row that were like none before, none is remembered any more: the vendor has something else in its
/// frames that always changes, and to remember each for nothing is dearer than to read it.
const MAX_MISSES: u8 = 8;

/// A value that may differ from frame to frame: a string, given by what stands between its quotes, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    range: Range<usize>,
    kind: HoleKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HoleKind {
    /// A string that is content unless it is empty.
    Content,
    /// A string that is counted, in a frame of which something else says whether it is content.
    Counted,
    /// A string that says nothing.
    Padding,
    /// A number that says nothing.
    Number,
    /// Content that is no plain text, such as a tool call: no frame is taken to be like one that has it.
    UnlikeAny,
}

impl Hole {
    pub(super) fn content(text: Quoted<'_>) -> Self {
        Self { range: text.range(), kind: HoleKind::Content }
    }

    pub(super) fn counted(text: Quoted<'_>) -> Self {
        Self { range: text.range(), kind: HoleKind::Counted }
    }

    pub(super) fn unlike_any(value: Range<usize>) -> Self {
        Self { range: value, kind: HoleKind::UnlikeAny }
    }

    /// The value of a member at the top level, of those whose name says that it is different in every frame.
    pub(super) fn of_member(name: &[u8], value: Range<usize>, first: Option<u8>) -> Option<Self> {
        match (name, first) {
            (b"obfuscation", Some(b'"')) => {
                Some(Self { range: value.start + 1..value.end - 1, kind: HoleKind::Padding })
            }
            (b"sequence_number", Some(b'0'..=b'9')) => Some(Self { range: value, kind: HoleKind::Number }),
            _ => None,
        }
    }

    /// Reads the value that stands at `at` in its place: where it ends, and how much content it is.
    fn read(&self, payload: &[u8], at: usize) -> Option<(usize, usize)> {
        if self.kind == HoleKind::Number {
            let starts = payload.get(at).is_some_and(u8::is_ascii_digit);
            return starts.then(|| Scanner::at_value(payload, at).value().ok()).flatten().map(|number| (number.end, 0));
        }
        // The quote has been compared.
        let text = Scanner::at_value(payload, at.checked_sub(1)?).string().ok()?;
        Some((text.end(), if self.kind == HoleKind::Padding { 0 } else { text.text_len() }))
    }
}

/// A frame that was read, and what it said.
#[derive(Debug, Default)]
pub(crate) struct Pattern {
    payload: Vec<u8>,
    holes: Vec<Hole>,
    edits: Vec<Edit>,
    /// None if there is nothing to compare with.
    said: Option<Said>,
    /// The usage that it reported, if it did. Apart, because few frames do.
    usage: ReportedUsage,
    misses: u8,
}

/// What a frame said outside of its holes, and any like it says as well: [`Findings`] in a third of the room, because a stream keeps
/// it and every frame reads it.
#[derive(Debug)]
struct Said {
    content: bool,
    end: bool,
    choices: Choices,
    append_at: usize,
    append_as: &'static str,
    reports_usage: bool,
}

impl Said {
    /// None of an error, which the next frame is not like.
    fn of(findings: &Findings) -> Option<Self> {
        let Findings { error: None, typed_error: false, content, end, choices, append_at, append_as, .. } = *findings
        else {
            return None;
        };
        Some(Self { content, end, choices, append_at, append_as, reports_usage: findings.usage.is_some() })
    }
}

impl Pattern {
    /// What a payload says if it is like the one that is remembered; the edits that it takes are appended to `edits`.
    pub(crate) fn recall(&mut self, payload: &[u8], edits: &mut Vec<Edit>) -> Option<Findings> {
        let findings = self.compare(payload, edits);
        if findings.is_some() {
            self.misses = 0;
        } else {
            edits.clear();
            self.forget();
        }
        findings
    }

    /// Remembers a payload that was read, with the edits that it takes and the values that may differ.
    pub(crate) fn remember(&mut self, payload: &[u8], edits: &[Edit], holes: &mut Vec<Hole>, findings: &Findings) {
        let has_likes = !holes.is_empty() && holes.iter().all(|hole| hole.kind != HoleKind::UnlikeAny);
        if !has_likes || payload.len() > MAX_REMEMBERED || self.misses >= MAX_MISSES {
            return;
        }
        let Some(said) = Said::of(findings) else { return };
        self.payload.clear();
        self.payload.extend_from_slice(payload);
        self.edits.clear();
        self.edits.extend_from_slice(edits);
        std::mem::swap(&mut self.holes, holes);
        // What of it was in the holes is found anew for each frame.
        let by_content = self.holes.iter().any(|hole| hole.kind == HoleKind::Content);
        self.usage = findings.usage.unwrap_or_default();
        self.said = Some(Said { content: said.content && !by_content, ..said });
    }

    fn forget(&mut self) {
        self.misses = self.misses.saturating_add(u8::from(self.said.take().is_some()));
    }

    fn compare(&self, payload: &[u8], edits: &mut Vec<Edit>) -> Option<Findings> {
        let said = self.said.as_ref()?;
        let (mut is_content, mut content_bytes, mut append_at) = (said.content, 0, said.append_at);
        edits.extend_from_slice(&self.edits);
        // Up to where the remembered payload and this one have been compared.
        let (mut past, mut at) = (0, 0);
        for hole in &self.holes {
            at = behind(payload, at, self.payload.get(past..hole.range.start)?)?;
            let (end, text_len) = hole.read(payload, at)?;
            is_content |= hole.kind == HoleKind::Content && end > at;
            content_bytes += text_len;
            (past, at) = (hole.range.end, end);
            let moved = |place: usize| if place >= past { place - past + at } else { place };
            for (edit, known) in edits.iter_mut().zip(&self.edits).filter(|(_, known)| known.range.start >= past) {
                edit.range = moved(known.range.start)..moved(known.range.end);
            }
            append_at = moved(said.append_at);
        }
        let end = behind(payload, at, self.payload.get(past..)?)?;
        (end == payload.len()).then(|| Findings {
            error: None,
            typed_error: false,
            content: is_content,
            content_bytes,
            usage: said.reports_usage.then_some(self.usage),
            end: said.end,
            choices: said.choices,
            append_at,
            append_as: said.append_as,
        })
    }
}

/// Where `text` ends if it stands at `at`.
fn behind(payload: &[u8], at: usize, text: &[u8]) -> Option<usize> {
    payload.get(at..)?.starts_with(text).then_some(at + text.len())
}
