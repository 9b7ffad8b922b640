//! The chunked coding of an answer's body (RFC 9112, section 7.1), taken apart.
//!
//! Lines have to end as the RFC says, with CR and LF: whoever accepts less can be made to disagree with others about where an
//! answer ends. Extensions and trailers are read over; nothing that the gateway talks to says anything in them that a caller
//! could do without.
//!
//! `gateway-listener` follows the same grammar (`guard/chunked.rs`), but passes the bytes on to hyper, which takes them apart and has
//! limits of its own for what is aside.

use bytes::{Buf, Bytes};
use memchr::memchr2;

use super::Malformed;

/// Bytes of extensions in one body, and of its trailers, at most; real ones have none, or a signature.
const MAX_ASIDE: usize = 16 * 1024;

/// Digits of a size at most: those of 64 bits.
const MAX_DIGITS: u8 = 16;

/// Digits of a size that is read at once, at most.
const PLAIN_DIGITS: usize = 8;

/// Where the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first digit of a size.
    SizeStart,
    /// Behind a digit of it.
    Size,
    /// Behind white space after the digits.
    SizePad,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Over,
}

/// A decoder of one body.
#[derive(Debug)]
pub(super) struct Chunks {
    place: Place,
    /// What is left of the chunk.
    size: u64,
    digits: u8,
    /// Bytes of extensions and trailers so far.
    aside: usize,
    /// What was wrong behind the last data.
    fault: Option<Malformed>,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { place: Place::SizeStart, size: 0, digits: 0, aside: 0, fault: None }
    }

    /// Whether the end has been read.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// The next data of what was received; none if there is no more of it in there.
    pub(super) fn next(&mut self, received: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.read_framing(received)?;
        if self.place != Place::Data || received.is_empty() {
            return Ok(None);
        }
        let len = usize::try_from(self.size).map_or(received.len(), |size| size.min(received.len()));
        let data = received.split_to(len);
        self.size -= len as u64;
        if self.size == 0 {
            self.place = Place::DataCr;
        }
        // So that the end is known with the last data. What is wrong behind it makes it no less good.
        self.fault = self.read_framing(received).err();
        Ok(Some(data))
    }

    /// Reads up to the next data, or to the end.
    fn read_framing(&mut self, received: &mut Bytes) -> Result<(), Malformed> {
        let mut at = self.read_plain_framing(received);
        while !matches!(self.place, Place::Data | Place::Over)
            && let Some(rest) = received.get(at..).filter(|rest| !rest.is_empty())
        {
            at += match self.place {
                Place::Extension | Place::Trailer => self.read_over(rest)?,
                _ => {
                    self.place =
                        self.behind(rest[0]).ok_or(Malformed("the chunks of the body are not framed as such"))?;
                    1
                }
            };
        }
        received.advance(at);
        Ok(())
    }

    /// Reads at once what nearly always stands before data: the end of the data before, and a line with nothing but a size. Says how
    /// many bytes that was; none for anything else, which is gone through byte by byte.
    fn read_plain_framing(&mut self, received: &[u8]) -> usize {
        let (start, line) = match self.place {
            Place::SizeStart => (0, received),
            Place::DataCr if let Some(line) = received.strip_prefix(b"\r\n") => (2, line),
            _ => return 0,
        };
        let mut size = 0;
        for (digits, byte) in line.iter().enumerate().take(PLAIN_DIGITS + 1) {
            match hex_digit(*byte) {
                Some(digit) => size = size * 16 + digit,
                None if size > 0 && line[digits..].starts_with(b"\r\n") => {
                    (self.place, self.size) = (Place::Data, size);
                    return start + digits + 2;
                }
                None => return 0,
            }
        }
        0
    }

    /// Reads over free text up to the end of its line; says how much that was.
    fn read_over(&mut self, text: &[u8]) -> Result<usize, Malformed> {
        let end = memchr2(b'\r', b'\n', text);
        // With the end of the line, so that short lines count as well.
        self.aside += end.map_or(text.len(), |end| end + 2);
        if self.aside > MAX_ASIDE {
            return Err(Malformed("the extensions and trailers of the body are too long"));
        }
        let Some(end) = end else { return Ok(text.len()) };
        if text[end] == b'\n' {
            return Err(Malformed("a line in the framing of the body ends without CR"));
        }
        self.place = if self.place == Place::Extension { Place::SizeLf } else { Place::TrailerLf };
        Ok(end + 1)
    }

    /// The place behind one byte of the framing; none if it may not stand there.
    fn behind(&mut self, byte: u8) -> Option<Place> {
        Some(match (self.place, byte) {
            (Place::SizeStart, _) => {
                (self.size, self.digits) = (hex_digit(byte)?, 1);
                Place::Size
            }
            (Place::Size | Place::SizePad, b' ' | b'\t') => Place::SizePad,
            (Place::Size | Place::SizePad, b';') => Place::Extension,
            (Place::Size | Place::SizePad, b'\r') => Place::SizeLf,
            (Place::Size, _) if self.digits < MAX_DIGITS => {
                self.size = self.size.checked_mul(16)?.checked_add(hex_digit(byte)?)?;
                self.digits += 1;
                Place::Size
            }
            (Place::SizeLf, b'\n') if self.size == 0 => Place::TrailerStart,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::SizeStart,
            (Place::TrailerStart, b'\r') => Place::EndLf,
            (Place::TrailerStart, _) if byte != b'\n' => Place::Trailer,
            (Place::TrailerLf, b'\n') => Place::TrailerStart,
            (Place::EndLf, b'\n') => Place::Over,
            _ => return None,
        })
    }
}

fn hex_digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// All data of a body that arrives in these parts, and whether it has come to its end; what is behind it stays.
    fn decode(parts: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let (mut chunks, mut data, mut left) = (Chunks::new(), Vec::new(), Vec::new());
        for part in parts {
            let mut received = Bytes::copy_from_slice(part);
            while let Some(some) = chunks.next(&mut received)? {
                assert!(!some.is_empty());
                data.extend_from_slice(&some);
            }
            left.extend_from_slice(&received);
        }
        Ok((data, chunks.is_over(), left))
    }

    #[test]
    fn bodies_and_what_is_none() {
        for (text, data, is_over, left) in [
            ("3\r\nabc\r\n0\r\n\r\n", "abc", true, ""),
            ("3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200", "abc", true, "HTTP/1.1 200"),
            ("00003 ;a=\"b\"\r\nabc\r\nA\t;x\r\n0123456789\r\n0;y\r\nt: 1\r\nu: 2\r\n\r\n", "abc0123456789", true, ""),
            ("0\r\n\r\n", "", true, ""),
            ("3\r\nabc\r\n0\r\n", "abc", false, ""),
            ("5\r\nabc", "abc", false, ""),
            ("", "", false, ""),
            ("3\r\nabc\r\n3\r\nabc\r\n0;\r\n\r\n", "abcabc", true, ""),
            ("00000003\r\nabc", "abc", false, ""),
            ("000000003\r\nabc\r\n000000001 \r\nd", "abcd", false, ""),
            ("ffffffff\r\nabc", "abc", false, ""),
            ("100000000\r\nabc", "abc", false, ""),
        ] {
            let expected = (data.into(), is_over, left.into());
            assert_eq!(decode(&[text.as_bytes()]).unwrap(), expected, "{text:?}");
        }
        let long = format!("1;{}\r\na\r\n", "x".repeat(MAX_ASIDE + 1));
        let many = format!("0\r\n{}", "a\r\n".repeat(MAX_ASIDE));
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "3 \nabc",
            "3\nabc",
            "3\r\rabc",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
            "10000000000000000\r\n",
            "00000000000000003\r\nabc\r\n",
            "1;\n",
            &long,
            &many,
            "1 0\r\n",
            "3 x\r\nabc\r\n",
            "3\r\nabc\r\n3\nabc",
            "3\r\nabc\r\n\r\n",
            "3\r\nabc3\r\n",
        ] {
            assert!(decode(&[text.as_bytes()]).is_err(), "{text:.40?}");
        }
    }

    #[test]
    fn data_is_good_although_nonsense_follows_it() {
        let (mut chunks, mut received) = (Chunks::new(), Bytes::from_static(b"3\r\nabc\r\nno chunk"));
        assert_eq!(chunks.next(&mut received).unwrap().unwrap(), "abc");
        assert!(chunks.next(&mut received).is_err());
    }

    proptest! {
        /// Byte by byte, nothing can be read at once.
        #[test]
        fn what_is_refused_does_not_depend_on_how_it_arrives(text in "(3\r\nabc\r\n){0,2}[01aF;x \r\n]{0,12}") {
            let parts: Vec<_> = text.as_bytes().chunks(1).collect();
            let (whole, bytes) = (decode(&[text.as_bytes()]), decode(&parts));
            prop_assert_eq!(whole.map_err(|_| ()), bytes.map_err(|_| ()));
        }

        #[test]
        fn it_does_not_matter_how_a_body_arrives(
            chunks in vec(vec(any::<u8>(), 1..40), 0..6),
            cuts in vec(0..300_usize, 0..12),
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let parts: Vec<_> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(&parts).unwrap(), (chunks.concat(), true, Vec::new()));
        }
    }
}
