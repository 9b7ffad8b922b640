//! What callers send and upstreams answer, of usual sizes.

use bytes::Bytes;

/// What people write: words, an escape, a letter that is no ASCII.
const SENTENCE: &str =
    r#"Please summarise for Jürgen what was said of the \"new\" plan.\nKeep numbers and names as they are. "#;

/// A plain answer, of 1.2 kB.
pub const ANSWER: &str = r#"{"id":"chatcmpl-9f3bA7cQe1kVt5","object":"chat.completion","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"The plan has three parts. First, the warehouse in Graz moves to the new stock system in the second week of March; until then both are kept up to date by hand.\n\nSecond, the orders of the spring are counted twice, once by the old \"blue\" lists and once by the new ones, and where the two differ by more than two in a hundred, somebody goes and looks.\n\nThird, whoever works with the lists gets a day of training, in groups of six, and a sheet of paper with the five things that are asked most often. Jürgen has the sheet already and sends it around on Monday.\n\nOpen is who pays for the second counting, and whether the shop in Linz takes part. Both are to be settled on the 14th.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":212,"completion_tokens":164,"total_tokens":376,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"service_tier":"default","system_fingerprint":"fp_560af6e559"}"#;

/// A frame of a stream.
pub const FRAME: &str = r#"data: {"id":"chatcmpl-9f3bA7cQe1kVt5","object":"chat.completion.chunk","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":" well"},"finish_reason":null}]}

"#;

/// The last frames of a stream.
pub const LAST_FRAMES: &str = r#"data: {"id":"chatcmpl-9f3bA7cQe1kVt5","object":"chat.completion.chunk","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"chatcmpl-9f3bA7cQe1kVt5","object":"chat.completion.chunk","created":1732000000,"model":"gpt-4o-mini-2024-07-18","choices":[],"usage":{"prompt_tokens":212,"completion_tokens":164,"total_tokens":376}}

data: [DONE]

"#;

/// What broken upstreams answer.
pub const FAILURE: &str = r#"{"error":{"message":"It is broken.","type":"server_error","code":null}}"#;

/// A chat request of so many bytes, at least a few hundred.
pub fn chat_request(model: &str, is_stream: bool, size: usize) -> Bytes {
    let stream = if is_stream { r#""stream":true,"# } else { "" };
    let mut body = format!(
        r#"{{"model":"{model}",{stream}"temperature":0.2,"max_tokens":512,"messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":""#
    );
    let end = r#""}]}"#;
    let room = size.saturating_sub(body.len() + end.len());
    body.push_str(&SENTENCE.repeat(room / SENTENCE.len()));
    body.push_str(&".".repeat(room % SENTENCE.len()));
    body.push_str(end);
    body.into()
}
