//! Whether a stream is to end with its usage.
//!
//! Chat completions and completions report the usage of a stream only if `stream_options.include_usage` says so. The pass
//! over a request notes how the body would have to change to say it, and leaves to whoever sends the body whether it does.

use std::ops::Range;

use gateway_call::Endpoint;

use crate::RequestError;
use crate::edit::{Edit, Insert};
use crate::json::{Scanner, key_name};

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
        if *key_name(&text[key]) == *b"include_usage" {
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
