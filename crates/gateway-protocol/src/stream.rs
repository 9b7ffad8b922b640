//! The frames of a streamed answer.
//!
//! A frame is read once and written once, into a buffer that the caller reuses; nothing is allocated on the way unless
//! the payload spans several `data` lines. Comments, `id` and `retry` are dropped because official SDKs stumble over
//! frames that hold nothing else.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use gateway_call::Endpoint;
use gateway_sse::{Data, Frame};

use crate::edit::Insert;
use crate::reply::{Changes, Choices, Findings, Layout, Notes, Pattern, scan_reply};
use crate::served::to_json;
use crate::{ReportedUsage, Served, UpstreamFault};

/// What a frame was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameKind {
    /// An event with a payload.
    Data,
    /// The payload `[DONE]`.
    Done,
    /// An event that reports an error. It was appended like any other; truncate the buffer to withhold it.
    Error(UpstreamFault),
    /// Nothing that a caller may see, such as a comment, or usage that it did not ask for. Nothing was appended.
    Dropped,
}

/// Reframes the events of one streamed answer and writes the public model name into them.
#[derive(Debug)]
pub struct StreamRewriter {
    layout: Layout,
    /// The public name as a JSON string; `None` if payloads stay as they are.
    name: Option<Box<[u8]>>,
    /// The value of the `gateway` member, until the first object has gained it.
    served: Option<Box<[u8]>>,
    changes: Changes,
    /// What is noted of a frame, kept so that none allocates.
    notes: Notes,
    pattern: Pattern,
    saw_content: bool,
    content_bytes: u64,
    usage: ReportedUsage,
    choices: Choices,
    saw_end_event: bool,
    saw_done: bool,
}

impl StreamRewriter {
    /// A rewriter for one answer. Without `served`, frames are reframed and watched, but payloads stay as they are.
    pub fn new(endpoint: Endpoint, served: Option<&Served<'_>>) -> Self {
        Self {
            layout: Layout::of_frames(endpoint),
            name: served.map(|served| to_json(served.model).into()),
            served: served.map(|served| served.member().into()),
            changes: Changes { name: served.is_some(), withhold_usage: false },
            notes: Notes::default(),
            pattern: Pattern::default(),
            saw_content: false,
            content_bytes: 0,
            usage: ReportedUsage::default(),
            choices: Choices::default(),
            saw_end_event: false,
            saw_done: false,
        }
    }

    /// The same for a stream of chat completions or completions whose usage only the gateway asked for: the frame that brings
    /// it, which has no choice in it, is read and dropped, and a `usage` that is null is taken out of every other frame. Usage
    /// that stands beside a choice stays, because the vendors that put it there do so unasked.
    ///
    /// A stream that comes with a null `usage` even unasked loses it too; what is null says the same as what is not there.
    pub fn withholding_usage(mut self) -> Self {
        self.changes.withhold_usage = true;
        self
    }

    /// Appends the event to `out` as the caller gets it: `event` and `data` lines as they came, with line feeds, and in
    /// a payload that is a JSON object the public model name and, in the first, the `gateway` member.
    pub fn frame(&mut self, frame: &Frame, out: &mut BytesMut) -> FrameKind {
        let (event, data) = frame.event_and_data();
        let Some(payload) = data.bytes(frame) else { return FrameKind::Dropped };
        self.notes.edits.clear();
        let kind = self.read(event == Some(b"error"), payload);
        if kind == FrameKind::Dropped {
            return kind;
        }
        match &data {
            Data::Line(range) => self.write_line(frame, range, out),
            _ if self.notes.edits.is_empty() => write_fields(frame, out),
            _ => self.write_lines(frame, payload, out),
        }
        kind
    }

    /// Whether a frame so far carried content: text, a tool call, reasoning or a refusal, rather than a bare role.
    ///
    /// For endpoints whose frames are not known in such detail, any payload is content.
    pub fn saw_content(&self) -> bool {
        self.saw_content
    }

    /// How many bytes of content the frames so far carried: text, names and arguments of tool calls, reasoning, refusals, as
    /// UTF-8 and without the JSON around them. What a stream took can be estimated from it if it ends without its usage.
    ///
    /// For endpoints whose frames are not known in such detail, only a `delta` of text is counted.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The tokens of the call, as all frames so far say together: the largest number of each member. Before the end it may be
    /// less than the call takes, because vendors that report in every frame count up, some of them with a long stay at 0.
    pub fn usage(&self) -> ReportedUsage {
        self.usage
    }

    /// Whether the end of the body now would be a proper one.
    ///
    /// Chat completions and completions end with `[DONE]` or a `finish_reason` for each choice, Responses with one of their terminal
    /// events. Other endpoints have no end of their own, so a clean end of the body is always proper.
    pub fn saw_end(&self) -> bool {
        self.saw_own_end() || self.saw_done || self.layout == Layout::Flat
    }

    /// Whether the stream ended properly without the `[DONE]` that callers of this endpoint wait for.
    pub fn wants_done(&self) -> bool {
        self.layout == Layout::Choices && self.saw_own_end() && !self.saw_done
    }

    /// Whether the payloads themselves said that the stream is over.
    fn saw_own_end(&self) -> bool {
        self.saw_end_event || self.choices.all_ended()
    }

    /// Judges a payload and notes the edits it needs.
    fn read(&mut self, named_error: bool, payload: &[u8]) -> FrameKind {
        if payload.trim_ascii() == b"[DONE]" {
            self.saw_done = true;
            return FrameKind::Done;
        }
        let Some(findings) = self.findings(payload) else {
            // Not an object, so nothing is known about it and it goes on as it is.
            self.notes.edits.clear();
            self.saw_content |= !named_error;
            return if named_error { FrameKind::Error(UpstreamFault::read(payload)) } else { FrameKind::Data };
        };
        let kind = self.judge(&findings, payload, named_error);
        if self.served.is_some() && kind == FrameKind::Data {
            findings.append_served(&mut self.notes.edits);
        }
        kind
    }

    /// What a payload says; none if it is no object.
    fn findings(&mut self, payload: &[u8]) -> Option<Findings> {
        let Self { notes, pattern, .. } = self;
        if let Some(findings) = pattern.recall(payload, &mut notes.edits) {
            return Some(findings);
        }
        notes.holes.clear();
        let findings = scan_reply(payload, (self.layout, self.changes), notes).ok()??;
        pattern.remember(payload, &notes.edits, &mut notes.holes, &findings);
        Some(findings)
    }

    fn judge(&mut self, findings: &Findings, payload: &[u8], named_error: bool) -> FrameKind {
        if let Some(usage) = findings.usage {
            self.usage.merge(usage);
        }
        if let Some(error) = &findings.error {
            return FrameKind::Error(UpstreamFault::read(&payload[error.clone()]));
        }
        if findings.typed_error || named_error {
            return FrameKind::Error(UpstreamFault::read(payload));
        }
        self.saw_content |= findings.content;
        self.content_bytes += findings.content_bytes as u64;
        self.choices.merge(findings.choices);
        self.saw_end_event |= findings.end;
        if self.changes.withhold_usage && self.is_usage_alone(findings) { FrameKind::Dropped } else { FrameKind::Data }
    }

    /// Whether a frame is the one that `stream_options.include_usage` asks for.
    fn is_usage_alone(&self, findings: &Findings) -> bool {
        self.layout == Layout::Choices && findings.usage.is_some() && findings.choices.is_empty()
    }

    /// Writes a frame whose payload is one line, which lies at `range`.
    fn write_line(&mut self, frame: &Frame, range: &Range<usize>, out: &mut BytesMut) {
        let bytes = frame.bytes();
        if frame.is_one_line() {
            self.write_edited(bytes, range.start, out);
            out.put_slice(b"\n\n");
            return;
        }
        for field in frame.fields() {
            if field.line.end == range.end {
                let line = &bytes[field.line.clone()];
                self.write_edited(line, range.start - field.line.start, out);
                out.put_u8(b'\n');
            } else if field.name == b"event" {
                put_line(&bytes[field.line], out);
            }
        }
        out.put_u8(b'\n');
    }

    /// Writes an edited payload of several lines, one `data` line for each, behind the event's name.
    fn write_lines(&mut self, frame: &Frame, payload: &[u8], out: &mut BytesMut) {
        for field in frame.fields().filter(|field| field.name == b"event") {
            put_line(&frame.bytes()[field.line], out);
        }
        let mut edited = BytesMut::with_capacity(payload.len());
        self.write_edited(payload, 0, &mut edited);
        for line in edited.as_ref().split(|byte: &u8| *byte == b'\n') {
            out.put_slice(b"data: ");
            put_line(line, out);
        }
        out.put_u8(b'\n');
    }

    /// Writes a text with the edits of the payload that begins at `start` in it.
    fn write_edited(&mut self, text: &[u8], start: usize, out: &mut BytesMut) {
        let Self { notes, name, served, .. } = self;
        let mut from = 0;
        for edit in &notes.edits {
            out.put_slice(&text[from..start + edit.range.start]);
            from = start + edit.range.end;
            match edit.insert {
                Insert::Text(text) => out.put_slice(text.as_bytes()),
                Insert::Name => out.put_slice(name.as_deref().unwrap_or_default()),
                Insert::Served => out.put_slice(&served.take().unwrap_or_default()),
                // Only requests ask.
                Insert::Ask(_) => {}
            }
        }
        out.put_slice(&text[from..]);
    }
}

/// Writes the lines of a frame that callers may see, as they are.
fn write_fields(frame: &Frame, out: &mut BytesMut) {
    for field in frame.fields().filter(|field| matches!(field.name, b"event" | b"data")) {
        put_line(&frame.bytes()[field.line], out);
    }
    out.put_u8(b'\n');
}

fn put_line(line: &[u8], out: &mut BytesMut) {
    out.put_slice(line);
    out.put_u8(b'\n');
}
