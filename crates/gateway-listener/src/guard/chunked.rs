//! A chunked body (RFC 9112 section 7.1), as far as its end: sizes, data, the trailer section.
//!
//! Accepts a subset of what hyper's decoder accepts, so that whatever passes here ends at the same byte for both.

use memchr::memchr2;

/// The position in one chunked body.
#[derive(Debug, Default)]
pub(super) struct ChunkScanner {
    place: Place,
    size: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    SizeStart,
    Size,
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
}

impl ChunkScanner {
    /// Takes bytes up to the end of the body; says how many, and whether the body ended.
    /// An error is the offset of the byte that must not be passed on.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, bool), usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.place {
                Place::Data => {
                    let left = bytes.len() - at;
                    let taken = usize::try_from(self.size).map_or(left, |size| size.min(left));
                    at += taken;
                    self.size -= taken as u64;
                    if self.size == 0 {
                        self.place = Place::DataCr;
                    }
                    continue;
                }
                Place::Extension | Place::Trailer => match memchr2(b'\r', b'\n', &bytes[at..]) {
                    None => return Ok((bytes.len(), false)),
                    Some(run) => {
                        at += run;
                        self.place = self.end_line(bytes[at]).ok_or(at)?;
                    }
                },
                Place::EndLf if byte == b'\n' => return Ok((at + 1, true)),
                _ => self.place = self.after(byte).ok_or(at)?,
            }
            at += 1;
        }
        Ok((at, false))
    }

    fn end_line(&self, byte: u8) -> Option<Place> {
        match (self.place, byte) {
            (Place::Extension, b'\r') => Some(Place::SizeLf),
            (Place::Trailer, b'\r') => Some(Place::TrailerLf),
            _ => None,
        }
    }

    /// The place behind one byte outside of data and free text; `None` refuses it.
    fn after(&mut self, byte: u8) -> Option<Place> {
        Some(match (self.place, byte) {
            (Place::SizeStart, _) => {
                self.size = hex_digit(byte)?;
                Place::Size
            }
            (Place::Size | Place::SizePad, b' ' | b'\t') => Place::SizePad,
            (Place::Size | Place::SizePad, b';') => Place::Extension,
            (Place::Size | Place::SizePad, b'\r') => Place::SizeLf,
            (Place::Size, _) => {
                self.size = self.size.checked_mul(16)?.checked_add(hex_digit(byte)?)?;
                Place::Size
            }
            (Place::SizeLf, b'\n') if self.size == 0 => Place::TrailerStart,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::SizeStart,
            (Place::TrailerStart, b'\r') => Place::EndLf,
            (Place::TrailerStart, _) if byte != b'\n' => Place::Trailer,
            (Place::TrailerLf, b'\n') => Place::TrailerStart,
            _ => return None,
        })
    }
}

fn hex_digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
