//! The boundary that a content type names.

use super::parameters::parse_parameters;

/// A boundary of a multipart body: 1 to 70 of the characters that RFC 2046 section 5.1.1 allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// Longest boundary, in bytes (RFC 2046 section 5.1.1).
    const MAX_LEN: usize = 70;

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn new(text: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
        let fits = (1..=Self::MAX_LEN).contains(&text.len()) && text.iter().all(allowed) && !text.ends_with(b" ");
        fits.then(|| std::str::from_utf8(text).ok().map(|text| Self(text.to_owned())))?
    }
}

/// The boundary that a `content-type` of `multipart/form-data` names. `None` if it is another type, or names no boundary,
/// several, or one that the standard does not allow.
pub fn boundary(content_type: &str) -> Option<Boundary> {
    let (media_type, parameters) = content_type.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let text = parameters.as_bytes();
    let parameters = parse_parameters(text)?;
    let mut boundaries = parameters.iter().filter(|parameter| parameter.name.eq_ignore_ascii_case(b"boundary"));
    let value = boundaries.next()?.value.clone();
    if boundaries.next().is_some() {
        return None;
    }
    Boundary::new(&text[value])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_or_refused() {
        let long = "x".repeat(71);
        let too_long = format!("multipart/form-data; boundary={long}");
        for (content_type, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b'()+_,-./:=?\"", Some("a b'()+_,-./:=?")),
            (
                "multipart/form-data ; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW;",
                Some("----WebKitFormBoundary7MA4YWxkTrZu0gW"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data;", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"\"", None),
            ("multipart/form-data; boundary=\"a \"", None),
            ("multipart/form-data; boundary=\"a", None),
            ("multipart/form-data; boundary=\"a\\b\"", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary*=utf-8''a", None),
            ("multipart/mixed; boundary=abc", None),
            (&too_long, None),
        ] {
            let found = boundary(content_type);
            assert_eq!(found.as_ref().map(|boundary| &*boundary.0), expected, "{content_type}");
        }
    }
}
