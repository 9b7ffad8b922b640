//! Whether a stream is to end with its usage.
//!
//! Chat completions and completions report the usage of a stream only if `stream_options.include_usage` says so. The pass
//! over a request notes how the body would have to change to say it, and leaves to whoever sends the body whether it does.

use std::ops::Range;

use gateway_call::Endpoint;
use memchr::memmem;

use crate::RequestError;
use crate::edit::{Edit, Insert};
use crate::json::Scanner;

/// What a request says of the usage of its stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum UsageWish {
    /// It has no `stream_options`.
    #[default]
    Silent,
    /// Its `stream_options` do not ask. How they would was noted.
    Unasked,
    /// Its `stream_options` ask.
    Asked,
    /// Its `stream_options` are neither an object nor null, which is for the upstream to judge.
    Unreadable,
}

/// Reads the value of `stream_options`, which lies at `value` in a valid `body`, and notes how it would ask.
///
/// # Errors
///
/// `include_usage` is given more than once, so that nobody but the upstream knows whether the caller asked.
pub(crate) fn read_stream_options(
    body: &[u8],
    value: Range<usize>,
    edits: &mut Vec<Edit>,
) -> Result<UsageWish, RequestError> {
    let text = &body[value.clone()];
    match text.first() {
        Some(b'n') => {
            edits.push(Edit::new(value, Insert::Ask("{\"include_usage\":true}")));
            return Ok(UsageWish::Unasked);
        }
        Some(b'{') => {}
        _ => return Ok(UsageWish::Unreadable),
    }
    let (mut members, mut wish, mut wishes) = (0_usize, 0..0, 0_usize);
    // The body is valid, so this reads all of it.
    let _ = Scanner::new(text).object(|scanner, key| {
        let member = scanner.value()?;
        members += 1;
        if *key.meaning() == *b"include_usage" {
            wish = member;
            wishes += 1;
        }
        Ok(())
    });
    match (wishes, members) {
        (0, 0) => edits.push(Edit::insertion(value.start + 1, Insert::Ask("\"include_usage\":true"))),
        (0, _) => edits.push(Edit::insertion(value.start + 1, Insert::Ask("\"include_usage\":true,"))),
        (1, _) if text[wish.clone()] == *b"true" => return Ok(UsageWish::Asked),
        (1, _) => edits.push(Edit::new(value.start + wish.start..value.start + wish.end, Insert::Ask("true"))),
        _ => return Err(RequestError::DuplicateField { field: "stream_options.include_usage" }),
    }
    Ok(UsageWish::Unasked)
}

/// Keeps the edits that ask only where there is something to ask for, and makes up for `stream_options` that are not there:
/// behind the model's name, where a body is in pieces anyway.
pub(crate) fn settle(wish: UsageWish, (endpoint, stream): (Endpoint, bool), edits: &mut Vec<Edit>) {
    let has_usage = stream && matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
    match wish {
        UsageWish::Silent if has_usage => {
            if let Some(at) = edits.iter().position(|edit| edit.insert == Insert::Name) {
                let member = Insert::Ask(",\"stream_options\":{\"include_usage\":true}");
                edits.insert(at + 1, Edit::insertion(edits[at].range.end, member));
            }
        }
        UsageWish::Unasked if !has_usage => edits.retain(|edit| !matches!(edit.insert, Insert::Ask(_))),
        _ => {}
    }
}

/// Whether an upstream's error is about being asked for the usage of a stream. Vendors agree on no code for that, but all name what
/// they refuse, near the beginning: as a word, not as part of one or of an address that a caller wrote.
pub fn names_usage_question(error: &[u8]) -> bool {
    /// In bytes. Errors are a few hundred; further on upstreams quote the request.
    const LOOKED_AT: usize = 2048;
    let beginning = error.get(..LOOKED_AT).unwrap_or(error);
    let is_of_a_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-/%=&?".contains(byte));
    let is_named = |name: &[u8]| {
        memmem::find_iter(beginning, name).any(|at| {
            let before = at.checked_sub(1).and_then(|before| beginning.get(before));
            !is_of_a_word(before) && !is_of_a_word(beginning.get(at + name.len()))
        })
    };
    is_named(b"stream_options") || is_named(b"include_usage")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_about_the_question_if_it_names_it() {
        for (error, is_about_it) in [
            (r#"{"detail":[{"loc":["body","stream_options","include_usage"]}]}"#, true),
            ("Unrecognized request argument supplied: stream_options", true),
            ("Unknown parameter: 'stream_options.include_usage'.", true),
            (r#"{"error":{"param":"include_usage"}}"#, true),
            ("Error while downloading https://x/stream_options.png", false),
            ("Error while downloading https://x/?a=include_usage", false),
            ("There is no tool my_stream_options_2", false),
            ("", false),
        ] {
            assert_eq!(names_usage_question(error.as_bytes()), is_about_it, "{error}");
        }
        let quoted = format!("{}stream_options", " ".repeat(2048));
        assert!(!names_usage_question(quoted.as_bytes()), "what is quoted at length is the caller's");
    }
}
