//! The bytes of a call.

use serde::{Deserialize, Serialize};

use super::Kind;

/// The body of an ordinary call.
const SMALL: usize = 1 << 10;
/// The body of a call with a long prompt.
const LARGE: usize = 1 << 20;

/// How long a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Size {
    /// 1 KiB.
    Small,
    /// 1 MiB, nearly all of it one text.
    Large,
}

/// A call: which model, with whose key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// The name that the caller uses.
    pub(crate) model: String,
    pub(crate) key: String,
}

impl Ask {
    /// The whole request, head and body.
    pub(crate) fn request(&self, kind: Kind, size: Size) -> Vec<u8> {
        let body = self.body(kind, size);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nuser-agent: side-by-side\r\naccept: */*\r\n\
             authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.key,
            body.len()
        );
        (head + &body).into_bytes()
    }

    fn body(&self, kind: Kind, size: Size) -> String {
        let stream = if kind.is_stream() { "\"stream\":true," } else { "" };
        let before = format!(
            "{{\"model\":\"{}\",{stream}\"temperature\":0.7,\"messages\":[{{\"role\":\"system\",\"content\":\"You are a helpful \
             assistant.\"}},{{\"role\":\"user\",\"content\":\"",
            self.model
        );
        let behind = "\"}]}";
        let room = |whole: usize| whole - before.len() - behind.len();
        match size {
            Size::Small => before.clone() + &prose(room(SMALL)) + behind,
            Size::Large => before.clone() + &document(room(LARGE)) + behind,
        }
    }
}

const WORDS: [&str; 32] = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "while",
    "seven",
    "engineers",
    "measure",
    "what",
    "passes",
    "through",
    "a",
    "gateway",
    "between",
    "callers",
    "and",
    "models",
    "of",
    "several",
    "providers",
    "with",
    "limits",
    "keys",
    "that",
    "never",
    "leave",
    "this",
    "machine",
];

/// A text of so many bytes without anything that JSON escapes. The same each time, and not periodic.
pub(super) fn prose(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    let mut words = Words(1);
    while text.len() < bytes {
        text.push_str(words.next());
        text.push(' ');
    }
    text.truncate(bytes);
    text
}

/// A text of so many bytes as JSON writes it: lines end with `\n`, and here and there are quotes and a letter beyond ASCII.
fn document(bytes: usize) -> String {
    // The longest thing that is added at once.
    const LONGEST: usize = 64;
    let mut text = String::with_capacity(bytes);
    let mut words = Words(2);
    let mut line = 0;
    while text.len() + LONGEST < bytes {
        text.push_str(words.next());
        line += 1;
        match line % 64 {
            16 | 32 | 48 => text.push_str(".\\n"),
            40 => text.push_str(" \\\"quoted\\\" "),
            0 => text.push_str(" caf\\u00e9 "),
            _ => text.push(' '),
        }
    }
    let rest = bytes - text.len();
    text + &prose(rest)
}

/// Words in an order that is always the same.
struct Words(u32);

impl Words {
    fn next(&mut self) -> &'static str {
        // Knuth's linear congruential generator; its high bits are the random ones.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        WORDS[(self.0 >> 27) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_the_stated_length() {
        let ask = Ask { model: Kind::Plain.public_model(), key: "k".to_owned() };
        for (size, bytes) in [(Size::Small, SMALL), (Size::Large, LARGE)] {
            let body = ask.body(Kind::Plain, size);
            assert_eq!(body.len(), bytes);
            let read: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(read["model"], "bench-plain");
        }
    }

    #[test]
    fn a_long_prompt_has_escapes() {
        let text = document(1 << 16);
        assert!(text.contains("\\n") && text.contains("\\\"") && text.contains("\\u00e9"));
    }
}
