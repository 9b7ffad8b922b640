//! The caller's own wishes: the `gateway` member, and the lists of models that other gateways read.
//!
//! Lists are walked rather than deserialised, so that a list beyond its limit is refused before it costs memory.

use std::time::Duration;

use gateway_call::{ModelName, Tightening};

use crate::RequestError;
use crate::json::{Malformed, Scanner, text};

/// How many models a list may have, and how many tags there may be (HTTP contract, "The vendor-extension field").
pub(crate) const MAX_LISTED: usize = 16;

/// Longest model name, in bytes; the longest that providers use are under 130.
pub(crate) const MAX_NAME: usize = 256;

/// Longest tag name or value, in bytes: a tag is a label, and all of them stand in one log line.
const MAX_TAG: usize = 256;

const NAME: &str = "a non-empty string of at most 256 bytes without control characters";
const NAMES: &str = "an array of at most 16 model names, each a non-empty string of at most 256 bytes";
const POSITIVE: &str = "a whole number of milliseconds above 0";
const COUNT: &str = "a whole number from 0 to 4294967295";
const TAGS: &str = "an object of at most 16 strings, names and values of at most 256 bytes each";

/// What the `gateway` member said.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) models: Vec<ModelName>,
    pub(crate) tightening: Tightening,
    pub(crate) tags: Vec<(String, String)>,
}

/// Reads the value of the `gateway` member, which is known to be valid JSON; null means that nothing is wished.
pub(crate) fn parse_wishes(value: &[u8]) -> Result<Wishes, RequestError> {
    let mut wishes = Wishes::default();
    if value == b"null" {
        return Ok(wishes);
    }
    let mut seen = Vec::new();
    let walked = for_each_member(value, |key, value| {
        if seen.contains(&key) {
            return Err(invalid(&key, "it is given more than once".to_owned()));
        }
        wishes.set(&key, value)?;
        // Unknown keys were refused, so this holds one of each at most.
        seen.push(key);
        Ok(())
    })?;
    if walked { Ok(wishes) } else { Err(expected("gateway", "an object")) }
}

impl Wishes {
    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), RequestError> {
        if value == b"null" && is_known(key) {
            return Ok(());
        }
        let wrong = |what: &str| invalid(key, format!("expected {what}"));
        match key {
            "models" => self.models = names(value).ok_or_else(|| wrong(NAMES))?,
            "max_retries" => self.tightening.max_retries = Some(number(value).ok_or_else(|| wrong(COUNT))?),
            "timeout_ms" => self.tightening.timeout = Some(milliseconds(value).ok_or_else(|| wrong(POSITIVE))?),
            "first_token_timeout_ms" => {
                self.tightening.first_token_timeout = Some(milliseconds(value).ok_or_else(|| wrong(POSITIVE))?);
            }
            "tags" => self.tags = tags(value)?.ok_or_else(|| wrong(TAGS))?,
            _ => return Err(invalid(key, format!("it is unknown; known are {}", KEYS.join(", ")))),
        }
        Ok(())
    }
}

const KEYS: [&str; 5] = ["models", "max_retries", "timeout_ms", "first_token_timeout_ms", "tags"];

fn is_known(key: &str) -> bool {
    KEYS.contains(&key)
}

/// The value of a top-level `models` or `fallbacks` member; null means that there is no list.
pub(crate) fn parse_list(field: &'static str, value: &[u8]) -> Result<Vec<ModelName>, RequestError> {
    if value == b"null" {
        return Ok(Vec::new());
    }
    names(value).ok_or(RequestError::InvalidField { field, expected: NAMES })
}

/// The value of a top-level `model` or `model_id` member.
pub(crate) fn parse_name(field: &'static str, value: &[u8]) -> Result<ModelName, RequestError> {
    name(value).ok_or(RequestError::InvalidField { field, expected: NAME })
}

/// A model's name, unless it is empty, too long or has control characters, which no model has and no log should show.
pub(crate) fn checked_name(name: &str) -> Option<ModelName> {
    let fits = (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    fits.then(|| ModelName::from(name))
}

fn name(value: &[u8]) -> Option<ModelName> {
    checked_name(&text(value)?)
}

fn names(value: &[u8]) -> Option<Vec<ModelName>> {
    if !value.starts_with(b"[") {
        return None;
    }
    let mut names = Vec::new();
    // The text is valid, so the error below only ends the walk.
    let walk = Scanner::new(value).array(|scanner| {
        let element = scanner.value()?;
        names.push(name(&value[element]).filter(|_| names.len() < MAX_LISTED).ok_or(Malformed)?);
        Ok(())
    });
    walk.ok().map(|()| names)
}

fn tags(value: &[u8]) -> Result<Option<Vec<(String, String)>>, RequestError> {
    let mut tags = Vec::new();
    let mut fits = true;
    let walked = for_each_member(value, |key, value| {
        let tag = text(value).filter(|text| text.len() <= MAX_TAG && key.len() <= MAX_TAG);
        fits &= tag.is_some() && tags.len() < MAX_LISTED;
        if let Some(tag) = tag.filter(|_| fits) {
            tags.push((key, tag.into_owned()));
        }
        Ok(())
    })?;
    Ok((walked && fits).then_some(tags))
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn milliseconds(value: &[u8]) -> Option<Duration> {
    let number: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number > 0).then(|| Duration::from_millis(number))
}

/// Visits the members of an object that is known to be valid JSON; `false` if it is no object.
fn for_each_member(
    value: &[u8],
    mut visit: impl FnMut(String, &[u8]) -> Result<(), RequestError>,
) -> Result<bool, RequestError> {
    let malformed = |Malformed| expected("gateway", "an object");
    let mut scanner = Scanner::new(value);
    if scanner.peek() != Some(b'{') {
        return Ok(false);
    }
    let mut more = scanner.open(b'}').map_err(malformed)?;
    while more {
        let start = scanner.at();
        let name = scanner.key().map_err(malformed)?;
        let key =
            text(&value[start..=name.end()]).ok_or_else(|| expected("gateway", "an object with readable names"))?;
        let member = scanner.value().map_err(malformed)?;
        visit(key.into_owned(), &value[member])?;
        more = scanner.another(b'}').map_err(malformed)?;
    }
    Ok(true)
}

fn expected(field: &str, what: &str) -> RequestError {
    RequestError::InvalidGatewayField { field: field.to_owned(), problem: format!("expected {what}") }
}

/// An error about a key of the `gateway` member. Keys may be the caller's own words, so they are cut to a sane length.
fn invalid(key: &str, problem: String) -> RequestError {
    const SHOWN: usize = 64;
    let shown = key.chars().filter(|c| !c.is_control()).take(SHOWN).collect::<String>();
    RequestError::InvalidGatewayField { field: format!("gateway.{shown}"), problem }
}
