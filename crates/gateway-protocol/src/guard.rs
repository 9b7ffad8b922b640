//! The members that decide about a call.
//!
//! The gateway authorises one `model` and an upstream that reads another would serve what the key may not use. Parsers
//! differ in which of two members they take, and Go's `encoding/json` takes members whose names are equal only when
//! case is folded. What a stream is charged by hangs on its `stream_options` in the same way. So a member that any parser
//! might take for a guarded one has to be spelled exactly and stand once.

use crate::json::{Quoted, unescape_key};

/// A guarded member of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    Model,
    ModelId,
    Stream,
    Gateway,
    Models,
    Fallbacks,
    StreamOptions,
}

/// What a member's name is to the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// A guarded member by its proper name.
    Exact(Guarded),
    /// A name that some parser takes for a guarded one.
    Varied(Guarded),
    /// Any other member.
    Free,
}

impl Guarded {
    const ALL: [Self; 7] =
        [Self::Model, Self::ModelId, Self::Stream, Self::Gateway, Self::Models, Self::Fallbacks, Self::StreamOptions];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::ModelId => "model_id",
            Self::Stream => "stream",
            Self::Gateway => "gateway",
            Self::Models => "models",
            Self::Fallbacks => "fallbacks",
            Self::StreamOptions => "stream_options",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|guarded| guarded.name().as_bytes() == name)
    }
}

/// Judges a JSON member's name.
pub(crate) fn judge_json(name: Quoted<'_>) -> Spelling {
    if name.has_escapes() {
        // Half a surrogate pair is no letter of a guarded name, however a parser replaces it.
        let guarded = unescape_key(name.raw).and_then(|key| folded(key.as_bytes()));
        return guarded.map_or(Spelling::Free, Spelling::Varied);
    }
    judge(name.raw)
}

/// Judges a name without escapes.
pub(crate) fn judge(raw: &[u8]) -> Spelling {
    match folded(raw) {
        Some(guarded) if guarded.name().as_bytes() == raw => Spelling::Exact(guarded),
        Some(guarded) => Spelling::Varied(guarded),
        None => Spelling::Free,
    }
}

/// The guarded member whose name this is under simple case folding (Unicode `CaseFolding.txt`, status C): besides the
/// ASCII letters, U+017F folds to `s` and U+212A to `k`.
fn folded(raw: &[u8]) -> Option<Guarded> {
    const LONGEST: usize = "stream_options".len();
    // Every member of every request comes by here, and next to all of them have ASCII names.
    if raw.is_ascii() {
        return Guarded::ALL.into_iter().find(|guarded| guarded.name().as_bytes().eq_ignore_ascii_case(raw));
    }
    let mut lower = [0; LONGEST];
    let mut length = 0;
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        let (letter, behind) = match rest {
            [0xC5, 0xBF, behind @ ..] => (b's', behind),
            [0xE2, 0x84, 0xAA, behind @ ..] => (b'k', behind),
            _ => (first.to_ascii_lowercase(), tail),
        };
        *lower.get_mut(length)? = letter;
        length += 1;
        rest = behind;
    }
    Guarded::named(&lower[..length])
}

/// Which guarded members were met already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen(u8);

impl Seen {
    /// Takes note of a member; `false` if it was there before. `model_id` is the same member as `model`.
    pub(crate) fn insert(&mut self, guarded: Guarded) -> bool {
        let slot = if guarded == Guarded::ModelId { Guarded::Model } else { guarded };
        let bit = 1 << slot as u8;
        let fresh = self.0 & bit == 0;
        self.0 |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    #[test]
    fn names_are_judged_as_the_most_lenient_parser_would_read_them() {
        for (raw, expected) in [
            ("model", Spelling::Exact(Guarded::Model)),
            ("model_id", Spelling::Exact(Guarded::ModelId)),
            ("fallbacks", Spelling::Exact(Guarded::Fallbacks)),
            ("Model", Spelling::Varied(Guarded::Model)),
            ("STREAM", Spelling::Varied(Guarded::Stream)),
            ("stream_options", Spelling::Exact(Guarded::StreamOptions)),
            ("Stream_Option\u{17f}", Spelling::Varied(Guarded::StreamOptions)),
            ("stream_optionss", Spelling::Free),
            ("\u{17f}tream", Spelling::Varied(Guarded::Stream)),
            ("fallbac\u{212a}s", Spelling::Varied(Guarded::Fallbacks)),
            ("fallbac\u{212a}\u{17f}", Spelling::Varied(Guarded::Fallbacks)),
            (r"mod\u0065l", Spelling::Varied(Guarded::Model)),
            (r"\u017fTREAM", Spelling::Varied(Guarded::Stream)),
            (r"mod\ud800l", Spelling::Free),
            (r"model\n", Spelling::Free),
            ("modell", Spelling::Free),
            ("mode", Spelling::Free),
            ("", Spelling::Free),
            ("model ", Spelling::Free),
            ("fallbacks_too", Spelling::Free),
        ] {
            let quoted = format!("\"{raw}\"");
            assert_eq!(Scanner::new(quoted.as_bytes()).string().map(judge_json), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn model_and_model_id_are_one_member() {
        let mut seen = Seen::default();
        assert!(seen.insert(Guarded::ModelId));
        assert!(seen.insert(Guarded::Models));
        assert!(!seen.insert(Guarded::Model));
    }
}
