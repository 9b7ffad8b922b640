//! What a key's fields may be.

use std::time::Duration;

use gateway_ratelimit::{Budget, RateLimit, UsdBudget};
use gateway_secret::Secret;
use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use serde_json::{Map, Value};

use crate::error::{Fault, Invalid};

pub(crate) const MAX_ID: usize = 64;
pub(super) const MAX_NAME: usize = 128;
pub(super) const MAX_KEY: usize = 1024;
pub(super) const MAX_PATTERNS: usize = 1000;
/// The same as the configuration file allows for the name of a model.
pub(super) const MAX_PATTERN: usize = 256;
const MAX_METADATA: usize = 16 * 1024;
/// The longest that a key may outlive its successor's beginning, in seconds.
pub(super) const MAX_OVERLAP: u64 = 30 * 24 * 60 * 60;

/// What identifiers look like, as a regular expression of JSON Schema (ECMA-262): see [`id`].
pub(super) const PLAIN: &str = r"^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$";
/// What texts look like that people and logs read: see [`is_clean`].
pub(super) const CLEAN: &str = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\s\x00-\x1f\x7f-\x9f])?$";

/// An identifier can stand in a path as it is, and is no step in it.
pub(super) fn id(id: &str) -> Result<(), Invalid> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(is_plain) || matches!(id, "." | "..") {
        let problem = format!("expected 1 to {MAX_ID} of the letters A-Z and a-z, digits, `.`, `_` and `-`");
        return Err(Invalid::value("id", problem));
    }
    Ok(())
}

pub(super) fn name(name: &str) -> Result<(), Invalid> {
    if !(1..=MAX_NAME).contains(&name.chars().count()) || !is_clean(name) {
        let problem = format!("expected 1 to {MAX_NAME} printable characters without blanks at the ends");
        return Err(Invalid::value("name", problem));
    }
    Ok(())
}

/// The problem never repeats the key.
pub(super) fn key(key: &Secret) -> Result<(), Invalid> {
    let text = key.expose();
    if text.is_empty() {
        return Err(Invalid::value("key", "is empty; leave it out to have one made"));
    }
    if text.len() > MAX_KEY || !is_clean(text) {
        let problem = format!("expected at most {MAX_KEY} bytes without control characters or blanks at the ends");
        return Err(Invalid::value("key", problem));
    }
    Ok(())
}

pub(super) fn allowed_models(patterns: &[String]) -> Result<(), Invalid> {
    if patterns.len() > MAX_PATTERNS {
        return Err(Invalid::value("allowed_models", format!("expected at most {MAX_PATTERNS} patterns")));
    }
    let is_pattern = |pattern: &String| (1..=MAX_PATTERN).contains(&pattern.len()) && is_clean(pattern);
    match patterns.iter().position(|pattern| !is_pattern(pattern)) {
        Some(index) => {
            let problem = format!(
                "expected the name of a model or a pattern such as `gpt-*`, of at most {MAX_PATTERN} bytes, without control \
                 characters or blanks at the ends"
            );
            Err(Invalid::value(&format!("allowed_models[{index}]"), problem))
        }
        None => Ok(()),
    }
}

/// The limits as they are kept: one that limits nothing is none.
pub(super) fn rate_limit(limit: RateLimit) -> Option<RateLimit> {
    (limit != RateLimit::default()).then_some(limit)
}

pub(super) fn budget(written: UsdBudget) -> Result<Budget, Invalid> {
    Budget::try_from(written).map_err(|error| Invalid::value("budget.usd", error.problem))
}

/// Whether limits and budget make sense, alone and together.
pub(super) fn limits(limit: Option<&RateLimit>, budget: Option<Budget>) -> Result<(), Invalid> {
    let limits = limit.cloned().unwrap_or_default().limits(budget);
    limits.map(drop).map_err(|error| Invalid::value(&format!("rate_limit.{}", error.field), error.problem))
}

/// Kept to the microsecond, as stores do.
pub(super) fn expires_at(text: &str, now: Timestamp) -> Result<Timestamp, Invalid> {
    let end: Timestamp = text.parse().map_err(|_| Invalid::value("expires_at", why_no_time(text)))?;
    if end <= now {
        return Err(Invalid::value("expires_at", "is in the past; to switch the key off, set `is_enabled` to false"));
    }
    Ok(to_microsecond(end))
}

fn why_no_time(text: &str) -> String {
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time().is_some() && pieces.offset().is_some());
    if pieces.is_some_and(|pieces| pieces.date().year() > 0) {
        let last = Timestamp::MAX.strftime("%FT%TZ");
        return format!("is later than {last}, the last moment that can be kept; leave it out, or set null, for never");
    }
    "expected a date and time with its offset, such as 2030-01-31T00:00:00Z; leave it out, or set null, for never"
        .to_owned()
}

/// The notes as they are kept.
pub(super) fn metadata(notes: &Map<String, Value>) -> Result<String, Invalid> {
    let text = serde_json::to_string(notes).map_err(|error| Invalid::value("metadata", error.to_string()))?;
    if text.len() > MAX_METADATA {
        return Err(Invalid::value("metadata", format!("expected at most {MAX_METADATA} bytes of JSON")));
    }
    Ok(text)
}

pub(super) fn overlap(seconds: Option<u64>) -> Result<Duration, Invalid> {
    let seconds = seconds.unwrap_or(0);
    if seconds > MAX_OVERLAP {
        return Err(Invalid::value("overlap_secs", format!("expected at most {MAX_OVERLAP}, which are 30 days")));
    }
    Ok(Duration::from_secs(seconds))
}

/// A required field that is not there.
pub(crate) fn missing(param: &str) -> Invalid {
    Invalid::new(Fault::MissingField, Some(param.to_owned()), "is missing")
}

/// A time without what a store would not keep of it.
pub(crate) fn to_microsecond(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

fn is_clean(text: &str) -> bool {
    // Line and paragraph separators end lines as control characters do, without being any.
    let is_printable = |character: char| !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}');
    text.chars().all(is_printable) && text.trim() == text
}
