//! Where a long text is cut before it is counted.
//!
//! How long it takes to merge bytes into tokens grows faster than the length of an unbroken run, and callers choose their
//! texts. So no piece is longer than a KiB. Nearly every text has a place in a KiB where a cut changes nothing, because no
//! token goes beyond it: before a single space between two words (the vocabulary's own pattern puts a space to the word
//! behind it).

/// The longest piece, in bytes.
pub(crate) const MAX_PIECE: usize = 1024;

/// The shortest piece that is cut off before a space, in bytes.
pub(crate) const MIN_PIECE: usize = MAX_PIECE / 2;

/// The text in pieces, in order, none of them empty or longer than [`MAX_PIECE`]. All but the last have at least
/// [`MIN_PIECE`] bytes, so there are few of them.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at(cut(rest));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Where the first piece ends.
fn cut(text: &str) -> usize {
    if text.len() <= MAX_PIECE {
        return text.len();
    }
    let between_words = (MIN_PIECE..=MAX_PIECE).rev().find(|at| is_between_words(text, *at));
    between_words.unwrap_or_else(|| text.floor_char_boundary(MAX_PIECE))
}

/// Whether a space stands at `at`, and no white space of any kind beside it.
fn is_between_words(text: &str, at: usize) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(|character| !character.is_whitespace());
    // A space is one byte, which is never a part of another character, so both cuts are at borders of characters.
    text.as_bytes()[at] == b' ' && is_word(text[..at].chars().next_back()) && is_word(text[at + 1..].chars().next())
}
