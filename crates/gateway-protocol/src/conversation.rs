//! What a request says of the conversation that it is part of.
//!
//! Calls of one conversation, and calls with the same instructions, are served faster and cheaper where the last one
//! was: the upstream still holds what it computed for the beginning that their prompts share. Which members tell such
//! calls is known here; what is made of it is not.
//!
//! The one pass over a request only notes where these members lie. They are looked into when somebody asks, which is for
//! models with affinity only, and never beyond a few kilobytes.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

use crate::json::Scanner;

/// How much of instructions and messages is looked at, in bytes: about 1,024 tokens, the shortest prompt that OpenAI
/// caches at all ("Prompt caching", <https://platform.openai.com/docs/guides/prompt-caching>). What differs only behind
/// that shares enough to be sent to the same target.
const MAX_MESSAGES: usize = 4096;

/// How much of a prompt without messages is looked at, in bytes: about the 256 tokens by whose hash OpenAI routes calls
/// to its machines (the same page). Less than of messages, because this has no first part that a longer prompt leaves as
/// it is.
const MAX_TEXT: usize = 1024;

/// What a request says of the conversation that it is part of, in ranges of its body, which is shared, not copied.
///
/// The default says nothing. So do multipart requests, which carry files rather than conversations.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    body: Bytes,
    marks: Marks,
}

/// Where the values of the members lie that tell a conversation. Empty ranges stand for members that are not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    prompt_cache_key: Range<usize>,
    user: Range<usize>,
    instructions: Range<usize>,
    system: Range<usize>,
    messages: Range<usize>,
    input: Range<usize>,
    prompt: Range<usize>,
}

impl Marks {
    /// Takes note of a member of the top level, given by its name as it stands between its quotes. Of two the last
    /// counts. Every member comes by here, so a name is compared as it stands: one with escapes goes unnoticed.
    pub(crate) fn note(&mut self, name: &[u8], value: Range<usize>) {
        let mark = match name {
            b"user" => &mut self.user,
            b"input" => &mut self.input,
            b"prompt" => &mut self.prompt,
            b"system" => &mut self.system,
            b"messages" => &mut self.messages,
            b"instructions" => &mut self.instructions,
            b"prompt_cache_key" => &mut self.prompt_cache_key,
            _ => return,
        };
        *mark = value;
    }
}

impl Conversation {
    /// The conversation of a request whose members lie at `marks` in `body`.
    pub(crate) fn new(body: Bytes, marks: Marks) -> Self {
        Self { body, marks }
    }

    /// The caller's own name for the conversation, or for whom it is with: `prompt_cache_key`, else `user`, as far as it
    /// is a string that is not empty.
    ///
    /// The bytes are those between the quotes, escapes and all: fit to be hashed and compared, not to be shown.
    pub fn session(&self) -> Option<&[u8]> {
        [&self.marks.prompt_cache_key, &self.marks.user].into_iter().find_map(|mark| match self.value(mark) {
            [b'"', name @ .., b'"'] => Some(name),
            _ => None,
        })
    }

    /// The beginning of the prompt, as up to three pieces of the body that make it up together; unused pieces are empty.
    /// `None` if the request has no prompt.
    ///
    /// The beginning is what the model is instructed with: `instructions`, `system`, and the run of system and developer
    /// messages at the front of `messages`, else of `input`. A request without any of this begins with its first
    /// message or, if it has none either, with the first 1 KiB of `input`, else of `prompt`. Every piece ends after
    /// 4 KiB at the latest, and nothing behind that is looked at, so the call's cost does not grow with the body.
    ///
    /// A retry and the next turn of a conversation have the same beginning, because what they add stands behind it; a
    /// plain text that grows has the same once it is longer than 1 KiB. This holds for bytes: a caller who writes the
    /// same messages with other white space begins anew.
    pub fn prompt_prefix(&self) -> Option<[&[u8]; 3]> {
        let [instructions, system] =
            [&self.marks.instructions, &self.marks.system].map(|mark| first(self.value(mark), MAX_MESSAGES));
        let turns = [&self.marks.messages, &self.marks.input, &self.marks.prompt].map(|mark| self.value(mark));
        let turns = turns.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
        let opening = opening(turns);
        let is_instructed = !(instructions.is_empty() && system.is_empty());
        let spoken = if is_instructed && !opening.instructs { &[] } else { opening.text };
        let pieces = [instructions, system, spoken];
        pieces.iter().any(|piece| !piece.is_empty()).then_some(pieces)
    }

    /// The value of a member, empty if it says nothing.
    fn value(&self, mark: &Range<usize>) -> &[u8] {
        match self.body.get(mark.clone()).unwrap_or_default() {
            b"null" | b"\"\"" | b"[]" | b"{}" => &[],
            value => value,
        }
    }
}

/// What a prompt opens with.
struct Opening<'a> {
    text: &'a [u8],
    /// It is a run of messages that instruct the model.
    instructs: bool,
}

/// What the value of `messages`, `input` or `prompt` opens with.
fn opening(value: &[u8]) -> Opening<'_> {
    let text = first(value, MAX_MESSAGES);
    let mut scanner = Scanner::new(text);
    if scanner.peek() != Some(b'[') || scanner.open(b']') != Ok(true) || scanner.peek() != Some(b'{') {
        return Opening { text: first(value, MAX_TEXT), instructs: false };
    }
    let start = scanner.at();
    let mut opening = Opening { text: &[], instructs: false };
    loop {
        let (instructs, end) = read_message(text, &mut scanner);
        if instructs || opening.text.is_empty() {
            opening = Opening { text: &text[start..end], instructs };
        }
        if !instructs || scanner.another(b']') != Ok(true) {
            return opening;
        }
    }
}

/// Reads a message, or as much of it as there is before the text is cut off, and says whether it instructs the model and where
/// it ends.
fn read_message(text: &[u8], scanner: &mut Scanner<'_>) -> (bool, usize) {
    let mut instructs = false;
    let message = scanner.object(|scanner, key| {
        let value = scanner.value()?;
        if *key.raw == *b"role" {
            instructs = matches!(&text[value], b"\"system\"" | b"\"developer\"");
        }
        Ok(())
    });
    // The whole text was valid, so an error is where it was cut off: the message goes on behind what is looked at.
    (instructs, if message.is_ok() { scanner.at() } else { text.len() })
}

fn first(text: &[u8], limit: usize) -> &[u8] {
    &text[..text.len().min(limit)]
}
