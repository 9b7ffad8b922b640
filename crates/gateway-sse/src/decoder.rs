//! Where one event ends and the next begins.
//!
//! The decoder looks at every byte once: what it has scanned of an unfinished event is remembered as three offsets, so
//! a stream that arrives byte by byte costs time linear in its length. A carriage return at the end of a chunk ends its
//! line at once, rather than waiting for a line feed that may never come; if the line feed does come, it is taken as
//! part of that line end.

use std::collections::VecDeque;
use std::{fmt, mem};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

use crate::Frame;

/// The largest event that a stream of an LLM is allowed, in bytes: 16 MiB. Images in base64 come as one event.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;

/// UTF-8 byte order mark, skipped once at the start of a stream (WHATWG HTML, section 9.2.6).
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// An event is larger than the decoder was told to hold. The stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventTooLarge {
    /// The limit that was exceeded, in bytes.
    pub max_event: usize,
}

impl fmt::Display for EventTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of the stream is larger than {} bytes; close the stream", self.max_event)
    }
}

impl std::error::Error for EventTooLarge {}

/// Splits the chunks of a body into events. Holds back only an event that is not finished yet.
///
/// Push a chunk, then take frames until there is none; at the end of the stream, see what [`SseDecoder::finish`] has.
#[derive(Debug)]
pub struct SseDecoder {
    max_event: usize,
    /// What of the byte order mark has not been seen yet; empty once it is settled whether there is one.
    bom_left: &'static [u8],
    /// Chunks behind the current one, if the caller pushed several at once.
    later: VecDeque<Bytes>,
    /// The current chunk, from the first byte that belongs to the unfinished event or lies behind it.
    chunk: Bytes,
    /// The unfinished event's bytes from earlier chunks.
    carried: BytesMut,
    /// How much of `chunk` was scanned for line ends.
    scanned: usize,
    /// Where the unfinished line starts, counted from the start of the event.
    line_start: usize,
    /// Where the event's last finished line starts, counted likewise.
    last_line: usize,
    /// Where the event's last finished line ends, counted from the start of the event; 0 if it has none.
    content_end: usize,
    /// The byte before `scanned` is a carriage return: a line feed here belongs to it.
    after_cr: bool,
    failed: bool,
}

impl SseDecoder {
    /// A decoder that refuses events of more than `max_event` bytes, line ends inside the event included.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            bom_left: BOM,
            later: VecDeque::new(),
            chunk: Bytes::new(),
            carried: BytesMut::new(),
            scanned: 0,
            line_start: 0,
            last_line: 0,
            content_end: 0,
            after_cr: false,
            failed: false,
        }
    }

    /// Takes the next chunk of the stream. Chunks may be cut anywhere.
    pub fn push(&mut self, chunk: Bytes) {
        if self.failed || chunk.is_empty() {
            return;
        }
        if self.chunk.is_empty() && self.later.is_empty() {
            self.chunk = chunk;
        } else {
            self.later.push_back(chunk);
        }
    }

    /// The next complete event, or `None` if another chunk is needed first.
    ///
    /// # Errors
    ///
    /// An event beyond the limit, in this call and in every later one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, EventTooLarge> {
        if self.failed {
            return Err(self.too_large());
        }
        loop {
            self.skip_bom();
            self.skip_line_feed();
            let Some(offset) = line_len(&self.chunk[self.scanned..]) else {
                if !self.next_chunk()? {
                    return Ok(None);
                }
                continue;
            };
            if let Some(frame) = self.end_line(self.scanned + offset)? {
                return Ok(Some(frame));
            }
        }
    }

    /// How many bytes are held: those of the unfinished event, and those not looked at yet.
    pub fn buffered(&self) -> usize {
        let mark = if self.bom_left.is_empty() { 0 } else { BOM.len() - self.bom_left.len() };
        mark + self.carried.len() + self.chunk.len() + self.later.iter().map(Bytes::len).sum::<usize>()
    }

    /// What is left at the end of the stream: an event that no blank line ended, if it has any line.
    ///
    /// Complete events that were not taken yet come first, so calling until there is `None` loses nothing.
    pub fn finish(&mut self) -> Option<Frame> {
        if let Some(frame) = self.next_frame().ok()? {
            return Some(frame);
        }
        let mark = BOM.len() - mem::take(&mut self.bom_left).len();
        if (1..BOM.len()).contains(&mark) {
            self.carried.extend_from_slice(&BOM[..mark]);
        }
        let mut event = mem::take(&mut self.carried);
        let mut last_line = self.line_start;
        if event.len() == self.line_start {
            event.truncate(self.content_end);
            last_line = self.last_line;
        }
        self.reset_event();
        (!event.is_empty()).then(|| Frame::new(event.freeze(), last_line))
    }

    fn skip_bom(&mut self) {
        while let (Some(expected), Some(byte)) = (self.bom_left.first(), self.chunk.first()) {
            if byte == expected {
                self.chunk.advance(1);
                self.bom_left = &self.bom_left[1..];
            } else {
                // A part of a mark is ordinary content.
                let seen = BOM.len() - self.bom_left.len();
                self.carried.extend_from_slice(&BOM[..seen]);
                self.bom_left = &[];
            }
        }
    }

    fn skip_line_feed(&mut self) {
        let Some(byte) = self.chunk.get(self.scanned).filter(|_| self.after_cr) else { return };
        self.after_cr = false;
        if *byte != b'\n' {
            return;
        }
        if self.content_end == 0 {
            self.chunk.advance(1);
        } else {
            self.scanned += 1;
            self.line_start += 1;
        }
    }

    /// Sets the exhausted chunk aside for the unfinished event and takes up the next; `false` if there is none.
    fn next_chunk(&mut self) -> Result<bool, EventTooLarge> {
        let event_len = self.carried.len() + self.chunk.len();
        if event_len > self.line_start && event_len > self.max_event {
            return Err(self.fail());
        }
        self.carried.extend_from_slice(&self.chunk);
        self.scanned = 0;
        match self.later.pop_front() {
            Some(chunk) => self.chunk = chunk,
            None => self.chunk = Bytes::new(),
        }
        Ok(!self.chunk.is_empty())
    }

    /// Takes note of the line end at `at` in the current chunk. A blank line ends the event, if there is one.
    fn end_line(&mut self, at: usize) -> Result<Option<Frame>, EventTooLarge> {
        let line_end = self.carried.len() + at;
        let mut next = at + 1;
        if self.chunk[at] == b'\r' {
            match self.chunk.get(next) {
                Some(b'\n') => next += 1,
                Some(_) => {}
                None => self.after_cr = true,
            }
        }
        if line_end > self.line_start {
            if line_end > self.max_event {
                return Err(self.fail());
            }
            self.content_end = line_end;
            self.last_line = self.line_start;
            self.line_start = self.carried.len() + next;
            self.scanned = next;
            return Ok(None);
        }
        Ok(self.end_event(next))
    }

    /// Cuts the event, which ends `next` bytes into the current chunk, off; `None` if it has no line.
    fn end_event(&mut self, next: usize) -> Option<Frame> {
        let mut event = self.chunk.split_to(next);
        if !self.carried.is_empty() {
            self.carried.extend_from_slice(&event);
            event = mem::take(&mut self.carried).freeze();
        }
        event.truncate(self.content_end);
        let last_line = self.last_line;
        self.reset_event();
        (!event.is_empty()).then(|| Frame::new(event, last_line))
    }

    fn reset_event(&mut self) {
        self.scanned = 0;
        self.line_start = 0;
        self.last_line = 0;
        self.content_end = 0;
    }

    fn fail(&mut self) -> EventTooLarge {
        self.failed = true;
        self.chunk = Bytes::new();
        self.carried = BytesMut::new();
        self.later = VecDeque::new();
        self.too_large()
    }

    fn too_large(&self) -> EventTooLarge {
        EventTooLarge { max_event: self.max_event }
    }
}

/// How long the line is at the front of a text, if it ends there.
fn line_len(text: &[u8]) -> Option<usize> {
    // Every second line is the blank one that ends an event, and needs no search.
    if let Some(b'\n') = text.first() {
        return Some(0);
    }
    memchr2(b'\r', b'\n', text)
}
