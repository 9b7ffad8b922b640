//! What of a request the model is to read.
//!
//! Callers pay for a prompt before anybody knows what the upstream will say it took, so its texts are found here to be
//! counted. That is done for keys that have something to count and for bodies too large to be taken for text, and behind the
//! one pass over the body that every request pays for: what is a prompt is not looked for there, and this pass stays free to
//! skip, unescape and give up. Only of large bodies the texts are measured in that pass, because a second one takes as long.
//!
//! Found are the strings in the members that models read. Left out are those that no model reads as text: images, sound and
//! files, whether in base64 or by their address, and the labels of the API, such as `role`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::iter;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use crate::json::{Malformed, Scanner, text};

/// How deep the walk goes, in levels of nesting: as deep as `serde_json` and most other parsers go. What lies deeper is skipped;
/// no API has a prompt there.
const MAX_DEPTH: usize = 128;

/// The longest label, in bytes: OpenAI's limit on the identifier of a tool call. A longer string is a text, whatever its name.
const MAX_LABEL: usize = 64;

/// Bodies larger than this, in bytes, are measured as they are read. Of smaller ones nobody asks for the length of the texts; for
/// an estimate they are taken to be text.
pub(crate) const MEASURED_FROM: usize = 64 * 1024;

/// The members of the top level that models read, all APIs together.
const READ: [&[u8]; 12] = [
    b"messages",
    b"prompt",
    b"suffix",
    b"input",
    b"instructions",
    b"system",
    b"tools",
    b"functions",
    b"response_format",
    b"text",
    b"documents",
    b"query",
];

/// The members of the top level in which a text may stand as the numbers of its tokens.
const NUMBERED: [&[u8]; 2] = [b"prompt", b"input"];

/// The prompt of a request. Holds on to its body; cheap to clone.
///
/// The default is a request without a prompt. So is a multipart request, which carries files rather than texts.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    body: Bytes,
    /// The length of the texts, if they were measured.
    text_len: Option<usize>,
}

impl Prompt {
    /// The prompt of a request with this body, which is valid JSON and valid UTF-8, and of which [`measure`] found texts of this
    /// length, if it was asked.
    pub(crate) fn new(body: Bytes, text_len: Option<usize>) -> Self {
        Self { body, text_len }
    }

    /// The texts, in the order of the body, without their JSON escapes. Walks the body; allocates for texts with escapes only.
    pub fn texts(&self) -> Texts<'_> {
        Texts { walk: Walk::new(&self.body, &READ) }
    }

    /// How long the texts are together, in bytes, their JSON escapes included. Takes a string for media by what it begins with.
    /// Walks the body if that is no larger than 64 KiB; of a larger one the length is known.
    pub fn text_len(&self) -> usize {
        self.text_len.unwrap_or_else(|| {
            let mut walk = Walk::new(&self.body, &READ);
            iter::from_fn(|| walk.next()).map(|leaf| leaf.text_len(&self.body)).sum()
        })
    }

    /// How many tokens stand in the prompt as numbers, as completions and embeddings take them: `[1, 2, 3]` or lists of such
    /// lists. Walks the body.
    pub fn numbers(&self) -> u64 {
        let mut walk = Walk::new(&self.body, &NUMBERED);
        iter::from_fn(|| walk.next()).filter(|leaf| *leaf == Leaf::Number).fold(0, |count, _| count + 1)
    }

    /// How much there is to walk through, in bytes: the length of the body, which no prompt exceeds.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is nothing to walk through.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

/// The texts of a prompt, none of them empty; made by [`Prompt::texts`].
#[derive(Debug)]
pub struct Texts<'a> {
    walk: Walk<'a>,
}

impl<'a> Iterator for Texts<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (range, role) = match self.walk.next()? {
                Leaf::Text(range, role) => (range, role),
                Leaf::Number => continue,
            };
            let text = self.walk.unescaped(&range, role);
            if !text.is_empty() {
                return Some(text);
            }
        }
    }
}

/// What the name of a member says of a string in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Text,
    /// An address, or content in base64.
    Media,
    /// A word of the API's own.
    Label,
}

impl Role {
    fn of(name: &[u8]) -> Self {
        match name {
            b"image_url" | b"url" | b"file_url" | b"file_data" | b"data" | b"b64_json" | b"bytes" | b"image"
            | b"images" | b"audio" | b"video" | b"encrypted_content" | b"signature" => Self::Media,
            b"role" | b"type" | b"id" | b"call_id" | b"tool_call_id" | b"file_id" | b"item_id" | b"detail"
            | b"format" | b"status" | b"media_type" => Self::Label,
            _ => Self::Text,
        }
    }

    /// Whether a string, given as it stands between its quotes, is most likely one that a model reads as text.
    fn may_be_text(self, raw: &[u8]) -> bool {
        match self {
            Self::Text => !raw.starts_with(b"data:"),
            Self::Media => false,
            Self::Label => raw.len() > MAX_LABEL,
        }
    }
}

/// What a walk comes by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leaf {
    /// What stands between the quotes of a string.
    Text(Range<usize>, Role),
    /// A number that only lists stand around.
    Number,
}

impl Leaf {
    /// How long it is if a model most likely reads it as text.
    fn text_len(&self, body: &[u8]) -> usize {
        match self {
            Self::Text(range, role) if role.may_be_text(&body[range.clone()]) => range.len(),
            Self::Text(..) | Self::Number => 0,
        }
    }
}

/// Reads the value of a member of the top level, on which the scanner stands in `body`, and says how long the texts are in it
/// that a model reads.
pub(crate) fn measure<'a>(body: &'a [u8], scanner: &mut Scanner<'a>, name: &[u8]) -> Result<usize, Malformed> {
    if !READ.contains(&name) {
        return scanner.value().map(|_| 0);
    }
    let top = Level { is_object: true, role: Role::of(name), is_listed: true };
    let mut walk = Walk { body, scanner: scanner.clone(), members: &READ, levels: vec![top], is_behind: false };
    let mut len = 0;
    while !walk.is_behind || walk.levels.len() > 1 {
        len += walk.step()?.map_or(0, |leaf| leaf.text_len(body));
    }
    *scanner = walk.scanner;
    Ok(len)
}

/// A walk through the values of some members of a JSON object.
#[derive(Debug)]
struct Walk<'a> {
    body: &'a [u8],
    scanner: Scanner<'a>,
    members: &'static [&'static [u8]],
    /// The containers around the position, the outermost first.
    levels: Vec<Level>,
    /// The position is behind a value rather than on one.
    is_behind: bool,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    is_object: bool,
    /// What the name says that was met last. That of an array says it of all its elements.
    role: Role,
    /// It is the body, or stands in a member of the body with nothing but lists around it.
    is_listed: bool,
}

impl Level {
    fn close(self) -> u8 {
        if self.is_object { b'}' } else { b']' }
    }
}

impl<'a> Walk<'a> {
    fn new(body: &'a [u8], members: &'static [&'static [u8]]) -> Self {
        Self { body, scanner: Scanner::new(body), members, levels: Vec::new(), is_behind: false }
    }

    fn next(&mut self) -> Option<Leaf> {
        // The whole body was valid, so an error is that of an empty body.
        self.advance().ok().flatten()
    }

    fn advance(&mut self) -> Result<Option<Leaf>, Malformed> {
        while !self.is_behind || !self.levels.is_empty() {
            if let Some(leaf) = self.step()? {
                return Ok(Some(leaf));
            }
        }
        Ok(None)
    }

    /// Reads the value on which the walk stands, or goes on from behind one.
    fn step(&mut self) -> Result<Option<Leaf>, Malformed> {
        if !self.is_behind {
            return self.read();
        }
        if let Some(level) = self.levels.last() {
            if self.scanner.another(level.close())? {
                self.approach()?;
            } else {
                self.levels.pop();
            }
        }
        Ok(None)
    }

    /// Goes from the start of an element or a member to its value, or behind it if nobody asked for the member.
    fn approach(&mut self) -> Result<(), Malformed> {
        let is_top = self.levels.len() == 1;
        if let Some(level) = self.levels.last_mut()
            && level.is_object
        {
            let key = self.scanner.key()?;
            let name = key.meaning();
            if is_top && !self.members.contains(&&*name) {
                self.scanner.value()?;
                return Ok(());
            }
            level.role = Role::of(&name);
        }
        self.is_behind = false;
        Ok(())
    }

    /// Reads the value on which the walk stands, or enters it.
    fn read(&mut self) -> Result<Option<Leaf>, Malformed> {
        let outer = self.levels.last().copied();
        let role = outer.map_or(Role::Text, |level| level.role);
        let is_listed = outer.is_none_or(|level| level.is_listed);
        self.is_behind = true;
        match self.scanner.peek() {
            Some(first @ (b'{' | b'[')) if self.levels.len() < MAX_DEPTH => {
                let is_object = first == b'{';
                let is_listed = is_listed && (outer.is_none() || !is_object);
                let level = Level { is_object, role: if is_object { Role::Text } else { role }, is_listed };
                if self.scanner.open(level.close())? {
                    self.levels.push(level);
                    self.approach()?;
                }
                Ok(None)
            }
            first => {
                let value = self.scanner.value()?;
                Ok(match first {
                    Some(b'"') => Some(Leaf::Text(value.start + 1..value.end - 1, role)),
                    Some(b'-' | b'0'..=b'9') if is_listed && self.levels.len() > 1 => Some(Leaf::Number),
                    _ => None,
                })
            }
        }
    }

    /// A string's text as far as a model reads it.
    fn unescaped(&self, range: &Range<usize>, role: Role) -> Cow<'a, str> {
        let raw = &self.body[range.clone()];
        let skipped = match role {
            Role::Label if raw.len() <= MAX_LABEL => raw.len(),
            Role::Media => raw.iter().take_while(|byte| byte.is_ascii_graphic()).count(),
            Role::Label | Role::Text => data_url_len(raw),
        };
        if skipped == 0 {
            // Half a surrogate pair is no text; what stands there is about as long.
            return text(&self.body[range.start - 1..=range.end]).unwrap_or_else(|| String::from_utf8_lossy(raw));
        }
        if skipped == raw.len() {
            return Cow::Borrowed("");
        }
        let rest = [b"\"", &raw[skipped..], b"\""].concat();
        Cow::Owned(text(&rest).map_or_else(String::new, Cow::into_owned))
    }
}

/// The length of the `data:` URL (RFC 2397) in base64 that a string begins with, given as it stands between its quotes; 0 if
/// it begins with none. It ends where the base64 ends, so a text behind it is a text.
fn data_url_len(raw: &[u8]) -> usize {
    /// No media type with its parameters is longer.
    const MAX_HEAD: usize = 256;
    const MARK: &[u8] = b";base64,";
    if !raw.starts_with(b"data:") {
        return 0;
    }
    let head = &raw[..raw.len().min(MAX_HEAD)];
    let mark = memmem::find(head, MARK).filter(|mark| head[..*mark].iter().all(u8::is_ascii_graphic));
    let Some(mark) = mark else { return 0 };
    let mut at = mark + MARK.len();
    loop {
        match &raw[at..] {
            // Some serialisers escape every slash.
            [b'\\', b'/', ..] => at += 2,
            [b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' | b'=', ..] => at += 1,
            _ => return at,
        }
    }
}
