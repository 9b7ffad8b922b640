//! Edits of a text that leave everything else as it is.

use std::ops::Range;

/// What takes the place of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insert {
    /// Fixed text; empty for a removal.
    Text(&'static str),
    /// The model's name, spelled as the document wants it.
    Name,
    /// The value of the `gateway` member.
    Served,
    /// Fixed text, if the request is to ask for the usage of its stream; otherwise the range stays as it is.
    Ask(&'static str),
}

/// One replacement. A list of them is in the order of the text and without overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    pub(crate) insert: Insert,
}

impl Edit {
    pub(crate) fn new(range: Range<usize>, insert: Insert) -> Self {
        Self { range, insert }
    }

    pub(crate) fn insertion(at: usize, insert: Insert) -> Self {
        Self { range: at..at, insert }
    }
}

/// A piece of an edited text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// This range of the original.
    Kept(Range<usize>),
    /// Something new.
    New(&'a Edit),
}

/// Visits the pieces of a text of `len` bytes after `edits`, in order. Kept ranges may be empty.
#[inline]
pub(crate) fn for_each_piece<'a>(len: usize, edits: &'a [Edit], mut visit: impl FnMut(Piece<'a>)) {
    let mut kept_from = 0;
    for edit in edits {
        visit(Piece::Kept(kept_from..edit.range.start));
        visit(Piece::New(edit));
        kept_from = edit.range.end;
    }
    visit(Piece::Kept(kept_from..len));
}

/// Cuts members out of an object so that what is left is an object again.
///
/// A cut takes along the comma before the member if a kept member stands there, and the comma behind it otherwise.
/// Feed it every member in order.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// Start of a run of removed members with nothing kept before it.
    leading: Option<usize>,
    /// Where the value of the last member ends.
    last_end: Option<usize>,
    kept_any: bool,
}

impl Cutter {
    /// A member that stays, from the quote of its name; call before edits inside it are made.
    pub(crate) fn keep(&mut self, start: usize, edits: &mut Vec<Edit>) {
        if let Some(leading) = self.leading.take() {
            edits.push(Edit::new(leading..start, Insert::Text("")));
        }
        self.kept_any = true;
    }

    /// A member that goes, from the quote of its name to the end of its value.
    pub(crate) fn cut(&mut self, member: Range<usize>, edits: &mut Vec<Edit>) {
        match self.last_end {
            Some(last_end) if self.kept_any => edits.push(Edit::new(last_end..member.end, Insert::Text(""))),
            _ => self.leading = self.leading.or(Some(member.start)),
        }
        self.last_end = Some(member.end);
    }

    /// The value of a kept member ended here.
    pub(crate) fn end_kept(&mut self, end: usize) {
        self.last_end = Some(end);
    }

    /// All members were seen.
    pub(crate) fn finish(&mut self, edits: &mut Vec<Edit>) {
        if let (Some(leading), Some(end)) = (self.leading.take(), self.last_end) {
            edits.push(Edit::new(leading..end, Insert::Text("")));
        }
    }

    /// Whether a member stayed.
    pub(crate) fn kept_any(&self) -> bool {
        self.kept_any
    }

    /// Where the last member ended, cut or not: a place for another one, behind every edit.
    pub(crate) fn last_end(&self) -> Option<usize> {
        self.last_end
    }
}
