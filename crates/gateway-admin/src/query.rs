//! What stands behind the question mark: which page of a list.
//!
//! Nothing else may stand there. Least of all a key: what is in a URL ends up in logs.

use percent_encoding::percent_decode_str;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::error::{Fault, Invalid};
use crate::openapi::Parameter;

/// The most entries of a page.
const MAX_LIMIT: u32 = 1000;
const DEFAULT_LIMIT: u32 = 100;

/// What is said of `limit`.
pub(crate) const LIMIT: Parameter =
    Parameter { name: "limit", what: "The most entries of the page.", schema: limit_schema };

fn limit_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT })
}

/// The page of a list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageQuery {
    /// How many entries at most.
    pub(crate) limit: u32,
    /// Where it begins, in the list's own notation.
    pub(crate) place: Option<String>,
}

impl PageQuery {
    /// Reads `limit` and the parameter that names the page's place.
    pub(crate) fn read(query: &str, place_name: &'static str) -> Result<Self, Invalid> {
        Self::read_with(query, place_name, []).map(|(page, [])| page)
    }

    /// The same, and more parameters of the list's own.
    pub(crate) fn read_with<const MORE: usize>(
        query: &str,
        place_name: &'static str,
        names: [&'static str; MORE],
    ) -> Result<(Self, [Option<String>; MORE]), Invalid> {
        let (mut limit, mut place) = (None, None);
        let mut more = [const { None }; MORE];
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "limit" => &mut limit,
                name if name == place_name => &mut place,
                name => match names.iter().position(|known| name == *known) {
                    Some(number) => &mut more[number],
                    // The name is not repeated: it might be a key that ended up there.
                    None => return Err(unknown(&[&names[..], &["limit"]].concat(), place_name)),
                },
            };
            let value = percent_decode_str(value).decode_utf8().unwrap_or_default().into_owned();
            if slot.replace(value).is_some() {
                return Err(Invalid::new(Fault::DuplicateField, Some(name.to_owned()), "is given twice; give it once"));
            }
        }
        let limit = limit.map_or(Ok(DEFAULT_LIMIT), |text| read_limit(&text))?;
        Ok((Self { limit, place }, more))
    }
}

fn unknown(names: &[&str], last: &str) -> Invalid {
    let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let problem = format!("there are no query parameters here but {names} and `{last}`");
    Invalid::new(Fault::UnknownField, None, problem)
}

fn read_limit(text: &str) -> Result<u32, Invalid> {
    // `parse` would take a plus sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| is_number && (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Invalid::value("limit", format!("expected a whole number from 1 to {MAX_LIMIT}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_limit_and_a_place() {
        let read = |query| PageQuery::read(query, "cursor").map(|page| (page.limit, page.place));
        assert_eq!(read(""), Ok((100, None)));
        assert_eq!(read("limit=1&cursor=a%20b"), Ok((1, Some("a b".to_owned()))));
        assert_eq!(read("&cursor=x&limit=1000&"), Ok((1000, Some("x".to_owned()))));
        for (query, param) in [
            ("limit=0", Some("limit")),
            ("limit=1001", Some("limit")),
            ("limit=-1", Some("limit")),
            ("limit=+1", Some("limit")),
            ("limit=", Some("limit")),
            ("limit=99999999999999999999", Some("limit")),
            ("limit=1&limit=2", Some("limit")),
            ("sk-secret", None),
            ("before=1", None),
        ] {
            let refused = read(query).unwrap_err();
            assert_eq!(refused.param(), param, "{query}");
            assert!(!refused.to_string().contains("sk-secret"));
        }
    }
}
