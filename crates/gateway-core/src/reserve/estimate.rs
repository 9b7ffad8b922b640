//! How many tokens a prompt has, about.

use gateway_protocol::Prompt;
use tokio::task::spawn_blocking;

/// From this size on, in bytes, counting would hold up the calls that share the worker: at 30 ns a byte it takes a
/// millisecond.
const LONG: usize = 32 * 1024;

/// How much of a prompt is counted, in bytes; the rest is taken to be like it. At most a fifth of a second for text that is
/// made to be slow, and more than any model reads.
const COUNTED: usize = 1024 * 1024;

/// What a message costs besides its text: the role and the marks around it, as OpenAI's cookbook counts them ("How to count
/// tokens with tiktoken").
const PER_TEXT: u64 = 3;

/// Up to which size, in bytes, a body is taken to be text. A larger one holds an image or the like more often than not.
const TEXT: usize = 64 * 1024;

/// The tokens of a prompt at a glance: one for every four bytes, OpenAI's own rule of thumb ("What are tokens and how to count
/// them?"). For calls whose tokens limit nothing, and which most often are told by their upstream what they took.
pub(super) fn rough_prompt_tokens(prompt: &Prompt) -> u64 {
    let bytes = if prompt.len() <= TEXT { prompt.len() } else { prompt.text_len() };
    (bytes as u64).div_ceil(4)
}

/// The tokens of a prompt. Counted on a thread of its own if there is much to count, or if the vocabulary has to be loaded
/// first.
pub(super) async fn prompt_tokens(prompt: &Prompt) -> u64 {
    if prompt.is_empty() || (prompt.len() < LONG && gateway_tokens::is_loaded()) {
        return count(prompt);
    }
    let (prompt, bytes) = (prompt.clone(), prompt.len() as u64);
    // A count that broke down is replaced by a bound that few texts exceed: a token for every two bytes.
    spawn_blocking(move || count(&prompt)).await.unwrap_or(bytes / 2)
}

fn count(prompt: &Prompt) -> u64 {
    let (mut tokens, mut counted, mut rest) = (0, 0, 0);
    for text in prompt.texts() {
        tokens += PER_TEXT;
        if counted < COUNTED {
            let cut = text.floor_char_boundary(COUNTED - counted);
            tokens += gateway_tokens::count(&text[..cut]);
            counted += cut;
            rest += text.len() - cut;
        } else {
            rest += text.len();
        }
    }
    let more = if counted == 0 { 0 } else { u128::from(tokens) * rest as u128 / counted as u128 };
    tokens.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)).saturating_add(prompt.numbers())
}
