//! How many tokens a text has, about.
//!
//! The count is that of `o200k_base`, the vocabulary of OpenAI's models since GPT-4o. Other vendors cut texts otherwise and
//! end up a tenth or two apart, which is good enough for what a count is for: to reserve tokens before a call whose true
//! usage nobody knows yet. What a call is charged in the end is the upstream's own count, where there is one.
//!
//! This crate knows texts, not requests: it reads no JSON and adds nothing for roles or for the marks between messages.
//!
//! Counting takes time linear in the text's length, whatever the text is: a release build takes about 30 ns a byte for prose
//! and source code, and at most about 0.2 µs a byte for text made to be slow. Whoever may not be held up for that long counts
//! long texts elsewhere.
//!
//! ```
//! assert_eq!(gateway_tokens::count("The quick brown fox jumps over the lazy dog."), 10);
//! ```

mod pieces;

use std::sync::OnceLock;

use tiktoken::CoreBpe;

use self::pieces::pieces;

/// How many tokens `text` has. Markers such as `<|endoftext|>` are text like any other.
///
/// Exact for a text of up to 1 KiB, and for any that has a single space between words in each half of a KiB, which is most of
/// them. Others are cut each KiB, and a cut may add a token or two.
///
/// The first call waits for the vocabulary, as [`load`] does.
pub fn count(text: &str) -> u64 {
    let vocabulary = vocabulary();
    pieces(text).map(|piece| vocabulary.count(piece) as u64).sum()
}

/// Loads the vocabulary, so that no call has to wait for it: a tenth of a second in which 30 MB are allocated, 24 MB of them
/// for good. Each thread that counts holds up to 1.2 MB more, which a build without optimisation also takes from its stack.
/// Loading twice does nothing.
pub fn load() {
    vocabulary();
}

/// Whether the vocabulary is loaded, so that [`count`] waits for nothing.
pub fn is_loaded() -> bool {
    VOCABULARY.get().is_some()
}

static VOCABULARY: OnceLock<&'static CoreBpe> = OnceLock::new();

fn vocabulary() -> &'static CoreBpe {
    #[expect(clippy::expect_used, reason = "Cargo.toml asks for this vocabulary by its feature, and a test loads it")]
    VOCABULARY.get_or_init(|| tiktoken::get_encoding("o200k_base").expect("the vocabulary is built in"))
}

#[cfg(test)]
mod tests;
