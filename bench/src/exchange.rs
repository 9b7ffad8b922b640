//! What is asked and what is answered: the one place that the mock upstream and the load generator both read.
//!
//! The kind of answer stands at the end of the model's name, because bodies pass every proxy and headers do not: the load asks for
//! `bench-burst`, the gateway and the bare proxy make `upstream-burst` of it, and the mock looks behind the last `-`.

mod request;

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use request::{Ask, Size};

/// Frames with content of every stream. Behind them come one with the reason to stop, and `[DONE]`.
pub(crate) const FRAMES: usize = 64;
/// Frames with content of a stream that is mostly silent.
const IDLE_FRAMES: usize = 4;
/// The whole plain answer, head and body.
const PLAIN_BYTES: usize = 1200;

/// How an upstream answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// One JSON object with a length.
    Plain,
    /// A stream whose frames come back to back, each written by its own write.
    Burst,
    /// A stream with a frame every 20 ms.
    Slow,
    /// A stream with a frame every few seconds.
    Idle,
}

impl Kind {
    /// The kind that a model's name ends with.
    pub(crate) fn of_model(name: &[u8]) -> Option<Self> {
        let behind = name.iter().rposition(|byte| *byte == b'-')? + 1;
        Self::value_variants().iter().copied().find(|kind| kind.word().as_bytes() == &name[behind..])
    }

    /// What models' names end with.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Burst => "burst",
            Self::Slow => "slow",
            Self::Idle => "idle",
        }
    }

    /// The name that callers use.
    pub(crate) fn public_model(self) -> String {
        format!("bench-{}", self.word())
    }

    /// The name that the upstream knows, and answers with.
    pub(crate) fn upstream_model(self) -> String {
        format!("upstream-{}", self.word())
    }

    pub(crate) fn is_stream(self) -> bool {
        self != Self::Plain
    }

    /// Frames with content; a plain answer has none.
    pub(crate) fn frames(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Burst | Self::Slow => FRAMES,
            Self::Idle => IDLE_FRAMES,
        }
    }

    /// How long the upstream waits before each frame but the first.
    pub(crate) fn pause(self) -> Duration {
        match self {
            Self::Plain | Self::Burst => Duration::ZERO,
            Self::Slow => Duration::from_millis(20),
            Self::Idle => Duration::from_secs(5),
        }
    }
}

/// The head of an answer, without what tells its length.
fn head(content_type: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ndate: Sun, 22 Nov 2026 20:00:00 GMT\r\n\
         openai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n"
    )
}

/// The body of a plain answer, 1.2 kB less its head.
pub(crate) fn plain_body(model: &str) -> String {
    let fixed = head("application/json").len() + "content-length: 1000\r\n\r\n".len() + completion(model, "").len();
    completion(model, &request::prose(PLAIN_BYTES - fixed))
}

fn completion(model: &str, content: &str) -> String {
    format!(
        "{{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\"created\":1760000000,\
         \"model\":\"{model}\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{content}\",\
         \"refusal\":null,\"annotations\":[]}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":204,\
         \"completion_tokens\":96,\"total_tokens\":300,\"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\
         \"rejected_prediction_tokens\":0}}}},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\"}}"
    )
}

/// The whole plain answer of the upstream.
pub(crate) fn plain_answer() -> String {
    let body = plain_body(&Kind::Plain.upstream_model());
    format!("{}content-length: {}\r\n\r\n{body}", head("application/json"), body.len())
}

/// The head of every stream of the upstream.
pub(crate) fn stream_head() -> String {
    head("text/event-stream; charset=utf-8") + "transfer-encoding: chunked\r\n\r\n"
}

/// The frames of a stream: those with content, each with its number, the reason to stop, and `[DONE]`.
pub(crate) fn frames(kind: Kind, model: &str) -> Vec<String> {
    let frame = |delta: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\
             \"model\":\"{model}\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\
             \"logprobs\":null,\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let first = "\"role\":\"assistant\",";
    let content = (0..kind.frames()).map(|number| {
        let mut delta = if number == 0 { first.to_owned() } else { String::new() };
        let _ = write!(delta, "\"content\":\" frame {number:04}\"");
        frame(&delta, "null")
    });
    content.chain([frame("", "\"stop\""), "data: [DONE]\n\n".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer_is_as_long_as_it_says() {
        assert_eq!(plain_answer().len(), PLAIN_BYTES);
        assert!(serde_json::from_str::<serde_json::Value>(&plain_body("m")).is_ok());
    }

    #[test]
    fn the_kind_stands_behind_the_last_dash() {
        assert_eq!(Kind::of_model(b"model-17-burst"), Some(Kind::Burst));
        assert_eq!(Kind::of_model(b"burst"), None);
        assert_eq!(Kind::of_model(b"upstream-"), None);
    }

    #[test]
    fn a_stream_ends_with_done_behind_numbered_frames() {
        let frames = frames(Kind::Burst, "m");
        assert_eq!(frames.len(), FRAMES + 2);
        assert!(frames[63].contains("frame 0063") && frames[64].contains("\"stop\"") && frames[65].contains("[DONE]"));
    }
}
