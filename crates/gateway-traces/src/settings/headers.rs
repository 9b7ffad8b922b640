//! Headers that are sent along, which is where receivers expect their keys.

use std::fmt;

use gateway_secret::Secret;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{SettingsProblem, list};

/// Names and values of headers. Only the names can be shown.
#[derive(Default)]
pub(crate) struct SecretHeaders(Vec<(HeaderName, Secret)>);

/// What a request says of itself.
const RESERVED: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING];

impl SecretHeaders {
    /// Reads a list. A name that comes twice is sent twice.
    pub(crate) fn parse(text: &str) -> Result<Self, SettingsProblem> {
        let entries = list::parse(text)?.into_iter().map(|(name, value)| (name, Secret::from(value)));
        entries
            .enumerate()
            .map(|(index, (name, value))| check(index + 1, &name, value))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Adds the headers to those of a request.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            // Whatever is no value was refused when it was read.
            if let Some(value) = header_value(value) {
                headers.append(name, value);
            }
        }
    }
}

fn check(entry: usize, name: &str, value: Secret) -> Result<(HeaderName, Secret), SettingsProblem> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SettingsProblem::Header { entry })?;
    if RESERVED.contains(&name) {
        return Err(SettingsProblem::Reserved { entry });
    }
    header_value(&value).ok_or(SettingsProblem::Header { entry })?;
    Ok((name, value))
}

/// Marked, so that it is neither shown nor kept in a table of HTTP/2.
fn header_value(value: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, value))).finish()
    }
}
