//! The frames of a stream, written one at a time when the connection wants the next.
//!
//! What all frames of a stream share is written once; a frame is two copies of it around its piece of text, in one
//! allocation, so that the simulator costs a benchmark little.

use bytes::Bytes;

use crate::answer::{Usage, write_json};
use crate::text::Pieces;

const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// What the next frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// The frame that names the role, and the tool if one is called.
    Opening,
    /// A piece of the text.
    Content { is_first: bool },
    /// The frame with the `finish_reason`.
    Finish,
    /// The frame with the token counts.
    Usage,
    /// `[DONE]`.
    Done,
    /// Nothing follows.
    End,
}

/// How a piece of text stands in a choice.
#[derive(Debug)]
pub(crate) enum Shape {
    /// `"delta":{"content":"…"}`
    Chat,
    /// `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"…"}}]}`
    ToolCall {
        /// The `id` of the call.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// `"text":"…"`
    Completion,
}

/// The frames of one stream, in order.
#[derive(Debug)]
pub(crate) struct FrameScript {
    /// `data: {…,"choices":[`
    opening: Vec<u8>,
    shape: Shape,
    pieces: Pieces,
    finish_reason: &'static str,
    /// Asked for with `stream_options.include_usage`; all other frames then say `"usage":null`.
    usage: Option<Usage>,
    beat: Beat,
}

impl FrameScript {
    /// The script that begins at its first frame.
    pub(crate) fn new(
        opening: Vec<u8>,
        shape: Shape,
        pieces: Pieces,
        finish_reason: &'static str,
        usage: Option<Usage>,
    ) -> Self {
        let first_content = if pieces.is_empty() { Beat::Finish } else { Beat::Content { is_first: true } };
        let beat = if matches!(shape, Shape::Completion) { first_content } else { Beat::Opening };
        Self { opening, shape, pieces, finish_reason, usage, beat }
    }

    /// What [`next_frame`](Self::next_frame) will give.
    pub(crate) fn next_beat(&self) -> Beat {
        self.beat
    }

    pub(crate) fn next_frame(&mut self) -> Option<Bytes> {
        let frame = match self.beat {
            Beat::Opening => self.write_choice(Self::write_opening),
            Beat::Content { .. } => self.write_choice(Self::write_piece),
            Beat::Finish => self.write_choice(Self::write_finish),
            Beat::Usage => self.write_usage(),
            Beat::Done => DONE,
            Beat::End => return None,
        };
        self.beat = self.following();
        Some(frame)
    }

    fn following(&self) -> Beat {
        match self.beat {
            Beat::Opening | Beat::Content { .. } if self.pieces.is_empty() => Beat::Finish,
            Beat::Opening => Beat::Content { is_first: true },
            Beat::Content { .. } => Beat::Content { is_first: false },
            Beat::Finish if self.usage.is_some() => Beat::Usage,
            Beat::Finish | Beat::Usage => Beat::Done,
            Beat::Done | Beat::End => Beat::End,
        }
    }

    /// A frame with one choice, whose own members `write` appends.
    fn write_choice(&mut self, write: fn(&mut Self, &mut Vec<u8>)) -> Bytes {
        // Room for the fixed parts around a short piece.
        let mut out = Vec::with_capacity(self.opening.len() + 192);
        out.extend_from_slice(&self.opening);
        out.extend_from_slice(br#"{"index":0,"#);
        write(self, &mut out);
        out.extend_from_slice(if self.usage.is_some() { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" });
        Bytes::from(out)
    }

    fn write_opening(&mut self, out: &mut Vec<u8>) {
        match &self.shape {
            Shape::ToolCall { id, name } => {
                out.extend_from_slice(br#""delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"#);
                write_json(out, id);
                out.extend_from_slice(br#","type":"function","function":{"name":"#);
                write_json(out, name);
                out.extend_from_slice(br#","arguments":""}}],"refusal":null}"#);
            }
            Shape::Chat | Shape::Completion => {
                out.extend_from_slice(br#""delta":{"role":"assistant","content":"","refusal":null}"#);
            }
        }
        out.extend_from_slice(br#","logprobs":null,"finish_reason":null"#);
    }

    fn write_piece(&mut self, out: &mut Vec<u8>) {
        let (before, after): (&[u8], &[u8]) = match self.shape {
            Shape::Chat => (br#""delta":{"content":"#, b"}"),
            Shape::ToolCall { .. } => (br#""delta":{"tool_calls":[{"index":0,"function":{"arguments":"#, b"}}]}"),
            Shape::Completion => (br#""text":"#, b""),
        };
        out.extend_from_slice(before);
        write_json(out, self.pieces.next_piece().unwrap_or_default());
        out.extend_from_slice(after);
        out.extend_from_slice(br#","logprobs":null,"finish_reason":null"#);
    }

    fn write_finish(&mut self, out: &mut Vec<u8>) {
        let empty: &[u8] = if matches!(self.shape, Shape::Completion) { br#""text":"""# } else { br#""delta":{}"# };
        out.extend_from_slice(empty);
        out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
        write_json(out, self.finish_reason);
    }

    fn write_usage(&self) -> Bytes {
        let mut out = self.opening.clone();
        out.extend_from_slice(br#"],"usage":"#);
        write_json(&mut out, &self.usage);
        out.extend_from_slice(b"}\n\n");
        Bytes::from(out)
    }
}
