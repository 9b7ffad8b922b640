//! The header block of a part.

use std::ops::Range;

use super::parameters::parse_parameters;

/// What the headers of a part say, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartHead {
    /// Where the part's name lies in the block, without quotes.
    pub(super) name: Range<usize>,
    /// There is a file name.
    pub(super) is_file: bool,
    /// The content is encoded in a way that changes its bytes.
    pub(super) is_encoded: bool,
}

impl PartHead {
    /// Reads a block that ends with a blank line. The error says what is wrong.
    pub(super) fn parse(block: &[u8]) -> Result<Self, &'static str> {
        let mut disposition = None;
        let mut is_encoded = false;
        let mut start = 0;
        let lines = block.strip_suffix(b"\r\n").unwrap_or(block);
        for whole_line in lines.split_inclusive(|byte| *byte == b'\n') {
            let line = whole_line.strip_suffix(b"\r\n").unwrap_or(whole_line);
            let colon = header_name(line).ok_or("a header of a part is malformed")?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if name.eq_ignore_ascii_case(b"content-disposition") {
                if disposition.replace(Self::parse_disposition(value, start + colon + 1)?).is_some() {
                    return Err("a part has several content-disposition headers");
                }
            } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
                let plain: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
                is_encoded |= !plain.iter().any(|plain| value.trim_ascii().eq_ignore_ascii_case(plain));
            }
            start += whole_line.len();
        }
        let (name, is_file) = disposition.ok_or("a part has no content-disposition header")?;
        Ok(Self { name, is_file, is_encoded })
    }

    /// The name's place, counted as `value` is from `offset`, and whether there is a file name.
    fn parse_disposition(value: &[u8], offset: usize) -> Result<(Range<usize>, bool), &'static str> {
        let problem = "a content-disposition header is malformed";
        let semicolon = value.iter().position(|byte| *byte == b';').ok_or("a part has no name")?;
        if !value[..semicolon].trim_ascii().eq_ignore_ascii_case(b"form-data") {
            return Err("a part's content-disposition is not form-data");
        }
        let text = &value[semicolon + 1..];
        let mut found = None;
        let mut is_file = false;
        for parameter in parse_parameters(text).ok_or(problem)? {
            let is = |name: &[u8]| parameter.name.eq_ignore_ascii_case(name);
            is_file |= is(b"filename") || is(b"filename*");
            // RFC 7578 forbids `name*`, and parsers differ in how they read escapes of a name.
            if is(b"name*") || (is(b"name") && (found.is_some() || text[parameter.value.clone()].contains(&b'\\'))) {
                return Err(problem);
            }
            if is(b"name") {
                found = Some(parameter.value);
            }
        }
        let name = found.ok_or("a part has no name")?;
        let offset = offset + semicolon + 1;
        Ok((offset + name.start..offset + name.end, is_file))
    }
}

/// Where the colon of a header line stands, if the line is one: a name of visible characters, no folding, and no control
/// character but the tab anywhere, so no bare line feed either.
fn header_name(line: &[u8]) -> Option<usize> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let is_clean = !line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
    (colon > 0 && is_clean && line[..colon].iter().all(u8::is_ascii_graphic)).then_some(colon)
}
