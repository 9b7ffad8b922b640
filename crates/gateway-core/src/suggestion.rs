//! "Did you mean": the names that a caller may use and may have meant by one that does not exist.
//!
//! To compare two names well takes a good part of a microsecond, and a large gateway has ten thousand: callers who guess would
//! hold up those who call. So among many, those are chosen first that have most in common with the unknown one at both ends,
//! which takes nanoseconds a name and finds every name that is one mistake away, wherever that is.

use std::cmp::Reverse;

/// The most names that are suggested.
const SUGGESTIONS: usize = 3;

/// The most names that one is compared with, which takes a tenth of a millisecond if they are long.
const MAX_COMPARED: usize = 100;

/// How alike a suggestion has to be, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// The nearest of some names to one that is none of them, the nearest first. The names need no order and may come twice.
pub(crate) fn nearest<'n>(unknown: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let folded = unknown.to_lowercase();
    let alike = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &folded);
    let mut near: Vec<(f64, &str)> = likely(unknown, names)
        .into_iter()
        .map(|known| (alike(known), known))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    near.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    near.dedup();
    near.into_iter().take(SUGGESTIONS).map(|(_, known)| known.to_owned()).collect()
}

/// The names to compare with: all of them, or of many those that have most in common at their ends, and of
/// these those of about the same length.
fn likely<'n>(unknown: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut kept: Vec<(Reverse<usize>, usize, &str)> = Vec::with_capacity(2 * MAX_COMPARED);
    let mut worst = None;
    for known in names {
        // By name among equals, so that the same is suggested each time.
        let candidate = (Reverse(shared(unknown, known)), known.len().abs_diff(unknown.len()), known);
        if worst.is_some_and(|worst| candidate > worst) {
            continue;
        }
        kept.push(candidate);
        if kept.len() == 2 * MAX_COMPARED {
            worst = Some(*kept.select_nth_unstable(MAX_COMPARED - 1).1);
            kept.truncate(MAX_COMPARED);
        }
    }
    if kept.len() > MAX_COMPARED {
        kept.select_nth_unstable(MAX_COMPARED - 1);
        kept.truncate(MAX_COMPARED);
    }
    kept.into_iter().map(|(_, _, known)| known).collect()
}

/// How many bytes two names have in common at the beginning and, behind that, at the end, whatever the case of ASCII letters.
fn shared(one: &str, other: &str) -> usize {
    let start = shared_start(one.as_bytes(), other.as_bytes());
    start + shared_end(&one.as_bytes()[start..], &other.as_bytes()[start..])
}

/// The bit that tells the cases of an ASCII letter apart. Other bytes that differ in it alone do not both occur in names, or
/// cost no more than a worse choice.
const CASE: u8 = 0x20;
const CASES: u64 = u64::from_le_bytes([CASE; 8]);

fn is_same((one, other): &(&u8, &u8)) -> bool {
    (**one ^ **other) & !CASE == 0
}

fn shared_start(one: &[u8], other: &[u8]) -> usize {
    let mut shared = 0;
    for (left, right) in one.as_chunks().0.iter().zip(other.as_chunks().0) {
        let difference = (u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right)) & !CASES;
        if difference != 0 {
            return shared + difference.trailing_zeros() as usize / 8;
        }
        shared += 8;
    }
    shared + one[shared..].iter().zip(&other[shared..]).take_while(is_same).count()
}

fn shared_end(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(is_same).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many() -> Vec<String> {
        let families = ["gpt-4o", "claude-sonnet", "Llama-3", "mistral-large", "command"];
        let numbered = (0..10_000).map(|number| format!("{}-{number}", families[number % families.len()]));
        numbered.chain(["gemini-2.5-flash".to_owned(), "o3".to_owned()]).collect()
    }

    #[test]
    fn among_many_names_a_mistake_is_found_wherever_it_is() {
        let names = many();
        for (unknown, meant) in [
            ("gpt-4o-900", "gpt-4o-9000"),
            ("gpt-4o_9000", "gpt-4o-9000"),
            ("pgt-4o-9000", "gpt-4o-9000"),
            ("GPT-4O-9000", "gpt-4o-9000"),
            ("llama-3-77x7", "Llama-3-7777"),
            ("claude-sonet-1", "claude-sonnet-1"),
            ("xgemini-2.5-flash", "gemini-2.5-flash"),
            ("gemini-2.5-flsah", "gemini-2.5-flash"),
            ("gemni-2.5-flash", "gemini-2.5-flash"),
        ] {
            // Most are so alike that several names are one mistake away.
            let near = nearest(unknown, names.iter().map(String::as_str));
            let is_meant = |near: &String| {
                near.eq_ignore_ascii_case(meant)
                    || strsim::damerau_levenshtein(&near.to_lowercase(), &unknown.to_lowercase()) <= 1
            };
            assert!(near.first().is_some_and(is_meant), "{unknown}: {near:?}");
            assert!(near.len() <= SUGGESTIONS, "{near:?}");
        }
        assert_eq!(nearest("unlike-anything", names.iter().map(String::as_str)), [""; 0]);
    }

    #[test]
    fn the_order_of_the_names_makes_no_difference() {
        let names = many();
        let forth = nearest("command-12", names.iter().map(String::as_str));
        let twice_back = nearest("command-12", names.iter().rev().chain(&names).map(String::as_str));
        assert_eq!((forth.len(), &forth), (SUGGESTIONS, &twice_back));
    }

    #[test]
    fn what_is_shared_is_counted_once() {
        for (one, other, bytes) in [
            ("", "a", 0),
            ("aaa", "aa", 2),
            ("abc", "abc", 3),
            ("abxba", "ABba", 4),
            ("ab", "ba", 0),
            ("model-provider-1", "Model-provider-22", 15),
            ("abcdefgh-xyz", "abcdefgi-xyz", 11),
        ] {
            assert_eq!(shared(one, other), bytes, "{one} and {other}");
        }
    }
}
