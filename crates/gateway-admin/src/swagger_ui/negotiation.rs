//! In which form a client takes a page, and whether it has it already.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether a client takes gzip, and likes it no less than the content as it is (RFC 9110, section 12.5.3). Without the header
/// it would have to take anything; who does not say so mostly cannot unpack.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any_other) = (None, None, None);
    for item in items(headers, &header::ACCEPT_ENCODING) {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let slot = match coding.trim().to_ascii_lowercase().as_str() {
            // The older name means the same (section 8.4.1.3).
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut any_other,
            _ => continue,
        };
        *slot = Some(weight(parameters));
    }
    let gzip = gzip.or(any_other).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// A weight in thousandths (section 12.4.2): 1 if there is none, 0 if it makes no sense.
fn weight(parameters: &str) -> u16 {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return 1000;
    }
    let Some((name, value)) = parameters.split_once('=') else { return 0 };
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if !name.trim().eq_ignore_ascii_case("q") || fraction.len() > 3 || !fraction.bytes().all(|it| it.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "0" => format!("{fraction:0<3}").parse().unwrap_or(0),
        "1" if fraction.bytes().all(|it| it == b'0') => 1000,
        _ => 0,
    }
}

/// Whether a client has what this tag stands for (section 13.1.2); weak and strong tags are the same here.
pub(super) fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    // Our tags have no commas, so a tag that has some is not ours however it falls apart.
    items(headers, &header::IF_NONE_MATCH)
        .any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item).as_bytes() == tag.as_bytes())
}

/// The items of a list, in all lines of a header (section 5.6.1).
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        for (lines, expected) in [
            (&[][..], false),
            (&[""], false),
            (&["gzip"], true),
            (&["GZip;Q=0.5"], true),
            (&["x-gzip"], true),
            (&["deflate, gzip;q=1.0, *;q=0.5"], true),
            (&["br", "zstd,gzip"], true),
            (&["identity"], false),
            (&["identity, gzip;q=0.5"], false),
            (&["identity;q=0.5, gzip;q=0.501"], true),
            (&["identity;q=0.5, gzip;q=0.5"], true),
            (&["identity;q=0, gzip"], true),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000, *"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["br, deflate"], false),
            (&["gzip;q=2", "gzip;q=0.0001"], false),
            (&["gzip;q=+1"], false),
            (&["gzip;level=9"], false),
            (&["gzip;q"], false),
            (&["gzipped"], false),
        ] {
            assert_eq!(accepts_gzip(&headers(&header::ACCEPT_ENCODING, lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_tag_is_known_by_either_strength() {
        let tag = HeaderValue::from_static("\"a-gzip\"");
        for (lines, expected) in [
            (&[][..], false),
            (&["\"a-gzip\""], true),
            (&["W/\"a-gzip\""], true),
            (&["\"b\", W/\"a-gzip\""], true),
            (&["\"b\"", "\"a-gzip\""], true),
            (&["*"], true),
            (&["\"a\""], false),
            (&["a-gzip"], false),
        ] {
            assert_eq!(knows(&headers(&header::IF_NONE_MATCH, lines), &tag), expected, "{lines:?}");
        }
    }
}
