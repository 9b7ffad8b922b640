//! How many tokens a prompt has, about.

use gateway_protocol::Prompt;
use tokio::task::spawn_blocking;

/// From this size on, in bytes, counting would hold up the calls that share the worker: it takes about a millisecond.
const LONG: usize = 256 * 1024;

/// What a message costs besides its text: the role and the marks around it, as OpenAI's cookbook counts them ("How to count
/// tokens with tiktoken").
const PER_TEXT: u64 = 3;

/// The tokens of a prompt. Counted on a thread of its own if there is much to count.
pub(super) async fn prompt_tokens(prompt: &Prompt) -> u64 {
    if prompt.len() < LONG {
        return count(prompt);
    }
    let (prompt, bytes) = (prompt.clone(), prompt.len() as u64);
    // A count that broke down is replaced by a bound that no text exceeds by much: a token for every two bytes.
    spawn_blocking(move || count(&prompt)).await.unwrap_or(bytes / 2)
}

fn count(prompt: &Prompt) -> u64 {
    let texts = prompt.texts().map(|text| gateway_tokens::count(&text) + PER_TEXT);
    texts.sum::<u64>() + prompt.numbers()
}
