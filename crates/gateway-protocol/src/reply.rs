//! What upstreams say: one pass over an answer or a frame's payload.
//!
//! The pass notes the edits that name the public model, and the few facts on which the life of a call depends: an error
//! inside a success, the first content, the protocol's end, the tokens it took. How deep it looks depends on what the
//! endpoint's frames look like.

mod pattern;

use std::ops::Range;

use gateway_call::Endpoint;

pub(crate) use self::pattern::{Hole, Pattern};

use crate::edit::{Cutter, Edit, Insert};
use crate::json::{Malformed, Quoted, Scanner};
use crate::usage::{ReportedUsage, read_usage};

/// How an endpoint's replies are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Only the top level matters.
    Flat,
    /// Frames of chat completions and completions: `choices` with deltas and a `finish_reason`.
    Choices,
    /// Frames of the Responses API: events with a `type`, some of which wrap the whole `response`.
    Events,
}

impl Layout {
    /// The layout of the frames that an endpoint streams.
    pub(crate) fn of_frames(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => Self::Choices,
            Endpoint::Responses => Self::Events,
            _ => Self::Flat,
        }
    }
}

/// What is to be changed in a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changes {
    /// Name the public model, and take out a `gateway` member of the upstream's own.
    pub(crate) name: bool,
    /// Keep back usage that only the gateway asked for. Here that is a `usage` that is null, which upstreams then put into
    /// every frame but the last.
    pub(crate) withhold_usage: bool,
}

/// The facts about one reply that is an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The value of an `error` member that is not null, of the reply or of the response that an event wraps.
    pub(crate) error: Option<Range<usize>>,
    /// The member `type` says `error`.
    pub(crate) typed_error: bool,
    /// Something that a reader of the stream would see.
    pub(crate) content: bool,
    /// How many bytes of it there are, without what is around it.
    pub(crate) content_bytes: usize,
    /// What it says of the tokens of the call; `None` if it has no object for that. What the object holds may not be readable.
    pub(crate) usage: Option<ReportedUsage>,
    /// The protocol's own end, where one event says it for the whole stream.
    pub(crate) end: bool,
    /// The choices in this frame, and those of them that it ends.
    pub(crate) choices: Choices,
    /// Where another member can be put behind all others.
    append_at: usize,
    /// How it begins there: with a comma if another one stays before it.
    append_as: &'static str,
}

/// Choices of a stream: which were seen, and which of them were given a `finish_reason`. One bit each; the last bit stands
/// for all from the 64th on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Choices {
    seen: u64,
    ended: u64,
}

impl Choices {
    /// Takes note of another frame's choices.
    pub(crate) fn merge(&mut self, other: Self) {
        self.seen |= other.seen;
        self.ended |= other.ended;
    }

    /// Whether there were none.
    pub(crate) fn is_empty(self) -> bool {
        self.seen == 0
    }

    /// Whether there were any and all of them were ended: a stream of several is over when the last one is.
    pub(crate) fn all_ended(self) -> bool {
        self.seen != 0 && self.seen & !self.ended == 0
    }

    fn note(&mut self, index: u32, ended: bool) {
        let bit = 1 << index.min(63);
        self.seen |= bit;
        self.ended |= if ended { bit } else { 0 };
    }
}

impl Findings {
    /// The edits that put a `gateway` member at the end. They come behind all others.
    pub(crate) fn append_served(&self, edits: &mut Vec<Edit>) {
        edits.push(Edit::insertion(self.append_at, Insert::Text(self.append_as)));
        edits.push(Edit::insertion(self.append_at, Insert::Served));
    }
}

/// What is noted of a reply while it is read. The caller has emptied it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// What the changes take.
    pub(crate) edits: Vec<Edit>,
    /// The values that another frame of the same stream may have in other words.
    pub(crate) holes: Vec<Hole>,
}

/// Reads all of `text`, which is validated. `None` if the top level is not an object.
pub(crate) fn scan_reply(
    text: &[u8],
    (layout, changes): (Layout, Changes),
    notes: &mut Notes,
) -> Result<Option<Findings>, Malformed> {
    let mut scanner = Scanner::new(text);
    if scanner.peek() != Some(b'{') {
        scanner.value()?;
        return scanner.finish().map(|()| None);
    }
    let mut reader = Reader {
        text,
        layout,
        changes,
        edits: &mut notes.edits,
        holes: &mut notes.holes,
        cutter: Cutter::default(),
        findings: Findings {
            error: None,
            typed_error: false,
            content: layout == Layout::Flat,
            content_bytes: 0,
            usage: None,
            end: false,
            choices: Choices::default(),
            append_at: scanner.at() + 1,
            append_as: "\"gateway\":",
        },
    };
    scanner.object(|scanner, key| reader.member(scanner, key))?;
    scanner.finish()?;
    Ok(Some(reader.finish()))
}

struct Reader<'a> {
    text: &'a [u8],
    layout: Layout,
    changes: Changes,
    edits: &'a mut Vec<Edit>,
    holes: &'a mut Vec<Hole>,
    cutter: Cutter,
    findings: Findings,
}

impl Reader<'_> {
    fn member(&mut self, scanner: &mut Scanner<'_>, key: Quoted<'_>) -> Result<(), Malformed> {
        let start = key.start - 1;
        let name = key.meaning();
        if self.is_unwanted(&name, scanner.peek()) {
            let value = scanner.value()?;
            self.cutter.cut(start..value.end, self.edits);
            return Ok(());
        }
        self.cutter.keep(start, self.edits);
        match (&*name, self.layout) {
            (b"model", _) => self.model(scanner)?,
            (b"error", _) => self.error(scanner)?,
            (b"type", _) => self.event_type(scanner)?,
            (b"usage", _) => self.usage(scanner)?,
            (b"choices", Layout::Choices) => scanner.array(|scanner| self.choice(scanner))?,
            (b"delta", Layout::Events | Layout::Flat) => {
                if let Some(text) = self.count_text(scanner)? {
                    self.holes.push(Hole::counted(text));
                }
            }
            (b"response", Layout::Events) => scanner.object(|scanner, key| match &*key.meaning() {
                b"model" => self.model(scanner),
                // `response.failed` wraps a response with an error, the terminal events one with its usage.
                b"error" => self.error(scanner),
                b"usage" => self.usage(scanner),
                _ => scanner.value().map(drop),
            })?,
            _ => {
                let first = scanner.peek();
                let value = scanner.value()?;
                self.holes.extend(Hole::of_member(&name, value, first));
            }
        }
        self.cutter.end_kept(scanner.at());
        Ok(())
    }

    /// Whether a member whose value begins with this byte is to be taken out.
    fn is_unwanted(&self, name: &[u8], first: Option<u8>) -> bool {
        match name {
            b"gateway" => self.changes.name,
            b"usage" => self.changes.withhold_usage && self.layout == Layout::Choices && first == Some(b'n'),
            _ => false,
        }
    }

    fn model(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
        let is_text = scanner.peek() == Some(b'"');
        let value = scanner.value()?;
        if is_text && self.changes.name {
            self.edits.push(Edit::new(value, Insert::Name));
        }
        Ok(())
    }

    fn error(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
        let value = scanner.value()?;
        if self.text[value.clone()] != *b"null" {
            self.findings.error = Some(value);
        }
        Ok(())
    }

    fn usage(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
        let is_object = scanner.peek() == Some(b'{');
        let usage = read_usage(self.text, scanner)?;
        if is_object {
            self.findings.usage.get_or_insert_default().merge(usage);
        }
        Ok(())
    }

    fn event_type(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
        let value = scanner.value()?;
        let name = &self.text[value];
        self.findings.typed_error |= name == b"\"error\"";
        if self.layout == Layout::Events {
            // OpenAI's API reference, "Streaming events" of the Responses API.
            self.findings.content |= name.ends_with(b".delta\"");
            self.findings.end |=
                matches!(name, b"\"response.completed\"" | b"\"response.failed\"" | b"\"response.incomplete\"");
        }
        Ok(())
    }

    fn choice(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
        // Vendors that stream one choice only may leave its index out.
        let (mut index, mut ended) = (0, false);
        scanner.object(|scanner, key| match &*key.meaning() {
            b"index" => {
                let value = scanner.value()?;
                index = std::str::from_utf8(&self.text[value]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
                Ok(())
            }
            b"finish_reason" => {
                let value = scanner.value()?;
                // Some vendors send an empty reason where others send null.
                ended = !matches!(&self.text[value], b"null" | b"\"\"");
                Ok(())
            }
            b"text" => self.content(scanner),
            b"delta" => scanner.object(|scanner, key| match &*key.meaning() {
                b"role" => scanner.value().map(drop),
                _ => self.content(scanner),
            }),
            _ => scanner.value().map(drop),
        })?;
        self.findings.choices.note(index, ended);
        Ok(())
    }

    /// A member that holds text, tool calls, reasoning, a refusal or whatever comes next: content unless it is empty.
    fn content(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
        let start = scanner.at();
        match scanner.peek() {
            Some(b'[') => scanner.array(|scanner| self.part(scanner))?,
            Some(b'{') => self.part(scanner)?,
            _ => {
                if let Some(text) = self.count_text(scanner)? {
                    self.holes.push(Hole::content(text));
                    self.findings.content |= !text.raw.is_empty();
                    return Ok(());
                }
            }
        }
        let value = start..scanner.at();
        let is_null = self.text[value.clone()] == *b"null";
        self.findings.content |= !is_null && !matches!(&self.text[value.clone()], b"[]" | b"{}");
        self.holes.extend((!is_null).then(|| Hole::unlike_any(value)));
        Ok(())
    }

    /// A tool call, a part of a text or the like. Of what it holds, what the model wrote is counted.
    fn part(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
        scanner.object(|scanner, key| match key.raw {
            b"function" | b"custom" => scanner.object(|scanner, key| self.written(scanner, key)),
            _ => self.written(scanner, key),
        })
    }

    fn written(&mut self, scanner: &mut Scanner<'_>, key: Quoted<'_>) -> Result<(), Malformed> {
        match key.raw {
            b"text" | b"name" | b"arguments" | b"input" | b"thinking" | b"transcript" => {
                self.count_text(scanner).map(drop)
            }
            _ => scanner.value().map(drop),
        }
    }

    /// Counts the value as content if it is text, and gives it.
    fn count_text<'t>(&mut self, scanner: &mut Scanner<'t>) -> Result<Option<Quoted<'t>>, Malformed> {
        if scanner.peek() != Some(b'"') {
            return scanner.value().map(|_| None);
        }
        let text = scanner.string()?;
        self.findings.content_bytes += text.text_len();
        Ok(Some(text))
    }

    fn finish(mut self) -> Findings {
        self.cutter.finish(self.edits);
        if let Some(end) = self.cutter.last_end() {
            self.findings.append_at = end;
        }
        if self.cutter.kept_any() {
            self.findings.append_as = ",\"gateway\":";
        }
        self.findings
    }
}
