//! JSON as administrators write it: read strictly, and refused with the place that is wrong.
//!
//! A document is read twice. The first pass refuses what two parsers could read in two ways, above all a member that is
//! given twice; the second makes the typed value. Bodies are small, and nobody waits.

mod ordered;

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use gateway_secret::Secret;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::error::{Fault, Invalid};

pub(crate) use ordered::{Members, Ordered};

/// The most characters of a caller's own words that are sent back.
const MOST_ECHOED: usize = 200;

/// Reads a JSON object.
pub(crate) fn parse<T: DeserializeOwned>(document: &[u8]) -> Result<T, Invalid> {
    let Unambiguous = read(document).map_err(refuse_document)?;
    let Object(value) = read(document).map_err(refuse_value)?;
    Ok(value)
}

/// Why a document could not be read, and where.
struct Failure {
    /// The path of a field such as `rate_limit.limit` or `allowed_models[2]`; none for the document as a whole.
    param: Option<String>,
    cause: serde_json::Error,
}

fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T, Failure> {
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Failure { param: param(error.path()), cause: error.into_inner() })?;
    deserializer.end().map_err(|cause| Failure { param: None, cause })?;
    Ok(value)
}

fn param(path: &Path) -> Option<String> {
    let is_known = |segment: &Segment| !matches!(segment, Segment::Unknown);
    path.iter().any(is_known).then(|| shortened(&path.to_string()))
}

fn refuse_document(Failure { param, cause }: Failure) -> Invalid {
    if cause.classify() == Category::Data {
        return Invalid::new(Fault::DuplicateField, param, "is given twice; give it once");
    }
    let (line, column) = (cause.line(), cause.column());
    let problem = format!("the body is not valid JSON at line {line}, column {column}: {}", without_place(&cause));
    Invalid::new(Fault::InvalidJson, param, problem)
}

/// Goes by what serde and `serde_json` say, since they have no other account of an error; a test holds them to it, because
/// an update may change their words.
fn refuse_value(Failure { param, cause }: Failure) -> Invalid {
    let message = without_place(&cause);
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let param = param.map_or_else(|| name.to_owned(), |parent| format!("{parent}.{name}"));
        return Invalid::new(Fault::MissingField, Some(param), "is missing");
    }
    // What stands there may be a key, in the wrong place or of the wrong type, and is not repeated.
    match param.as_deref() {
        None if message.starts_with("invalid type") => {
            return Invalid::new(Fault::InvalidValue, None, "the body has to be a JSON object");
        }
        Some("key") if message.starts_with("invalid type") => {
            return Invalid::new(Fault::InvalidValue, param, "has to be a string");
        }
        Some(path) if is_secret(path) => {
            let expected = message.rsplit_once(", ").map_or("is not what it has to be", |(_, expected)| expected);
            return Invalid::new(Fault::InvalidValue, param, in_plain_words(expected));
        }
        _ => {}
    }
    let fault = if message.starts_with("unknown field `") { Fault::UnknownField } else { Fault::InvalidValue };
    Invalid::new(fault, param, shortened(&in_plain_words(&message)))
}

/// Whether a field holds secrets, or something in which they are.
fn is_secret(path: &str) -> bool {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    matches!(&path[..end], "api_key" | "api_keys" | "headers")
}

/// A parser's message without the place that it ends in.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

/// What serde calls by its name in Rust, in an administrator's words. The same test holds it to these names.
fn in_plain_words(message: &str) -> String {
    let names = [
        ("u64", "a whole number from 0 to 18446744073709551615"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("f64", "a number"),
        ("a sequence", "a list"),
        ("a map", "a JSON object"),
        ("a boolean", "true or false"),
    ];
    let in_words =
        |(name, words)| Some(format!("{}expected {words}", message.strip_suffix(&format!("expected {name}"))?));
    names.into_iter().find_map(in_words).unwrap_or_else(|| message.to_owned())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_ECHOED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Any JSON in which no object has the same member twice.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor)
    }
}

struct UnambiguousVisitor;

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unambiguous, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.insert(name) {
                map.next_value::<Unambiguous>()?;
            } else {
                // Refused as a value, so that the error's path ends in the member's name.
                map.next_value::<Duplicate>()?;
            }
        }
        Ok(Unambiguous)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unambiguous, A::Error> {
        while items.next_element::<Unambiguous>()?.is_some() {}
        Ok(Unambiguous)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }
}

/// What stands where nothing may.
struct Duplicate;

impl<'de> Deserialize<'de> for Duplicate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom("duplicate"))
    }
}

/// A value that was written as an object. What serde derives takes a list as well, member by member in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A field that may be left out or null, and is an object otherwise.
pub(crate) fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let object: Option<Object<T>> = Option::deserialize(deserializer)?;
    Ok(object.map(|Object(value)| value))
}

/// A field that may be left out or null, and is a secret otherwise.
pub(crate) fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.map(Secret::from))
}

#[cfg(test)]
mod tests;
