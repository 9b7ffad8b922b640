//! What every line is put together with, whoever tells it: the thread's memory for a line, its timestamp, and text as JSON has it.

pub(crate) mod json;
pub(crate) mod timestamp;

use std::cell::Cell;

/// Bytes that most lines fit into.
const USUAL: usize = 1_024;

/// Bytes that a thread keeps for its next line. A line beyond that is rare, and its memory is given back.
const MOST_KEPT: usize = 16 * 1_024;

thread_local! {
    /// Taken while a line is written, so that a value that logs while it is shown finds an empty one, and not the line that it is in.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// Hands out the thread's memory for a line.
pub(crate) fn with_empty<R>(write: impl FnOnce(&mut String) -> R) -> R {
    // A thread that is at its end has none any more.
    let mut line = LINE.try_with(Cell::take).unwrap_or_default();
    line.reserve(USUAL);
    let result = write(&mut line);
    if line.capacity() <= MOST_KEPT {
        line.clear();
        let _ = LINE.try_with(|kept| kept.set(line));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_within_a_line_is_its_own_and_a_long_one_is_not_kept() {
        let inner = with_empty(|outer| {
            outer.push_str("outer");
            let inner = with_empty(|inner| {
                inner.push_str("inner");
                inner.clone()
            });
            assert_eq!(outer, "outer");
            inner
        });
        assert_eq!(inner, "inner");
        with_empty(|line| line.push_str(&"x".repeat(MOST_KEPT + 1)));
        with_empty(|line| assert!(line.is_empty() && line.capacity() <= MOST_KEPT));
    }
}
