//! The framing of a chunked body, read from pieces that end anywhere.

use super::answer::Fault;

/// Where in the framing the next byte stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the digits of a length.
    #[default]
    Begin,
    Length(usize),
    /// Behind the digits, before the line's end; extensions are skipped.
    LengthEnd(usize),
    Data(usize),
    /// Behind a chunk's data, before the line's end.
    DataEnd,
    /// In the line behind the chunk of length zero: how many bytes of it there are so far. Trailers are not expected.
    Trailer(usize),
    Over,
}

impl Chunked {
    /// Hands on the data in a piece, until the body is over; how many bytes of the piece belong to the body.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        mut data: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut at = 0;
        while at < piece.len() && *self != Self::Over {
            if let Self::Data(left) = *self {
                let here = left.min(piece.len() - at);
                data(&piece[at..at + here])?;
                at += here;
                *self = if here == left { Self::DataEnd } else { Self::Data(left - here) };
            } else {
                *self = self.framing(piece[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// The state behind one byte of framing.
    fn framing(self, byte: u8) -> Result<Self, Fault> {
        let digit = char::from(byte).to_digit(16).map(|digit| digit as usize);
        match (self, byte, digit) {
            (Self::Begin, _, Some(digit)) => Ok(Self::Length(digit)),
            (Self::Length(length), _, Some(digit)) if length < 1 << 32 => Ok(Self::Length(length << 4 | digit)),
            (Self::LengthEnd(0), b'\n', _) => Ok(Self::Trailer(0)),
            (Self::LengthEnd(length), b'\n', _) => Ok(Self::Data(length)),
            (Self::Length(length), b'\r' | b';', _) | (Self::LengthEnd(length), _, _) => Ok(Self::LengthEnd(length)),
            (Self::DataEnd | Self::Trailer(0), b'\r', _) => {
                Ok(if self == Self::DataEnd { self } else { Self::Trailer(1) })
            }
            (Self::DataEnd, b'\n', _) => Ok(Self::Begin),
            (Self::Trailer(1), b'\n', _) => Ok(Self::Over),
            _ => Err(Fault::Framing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Fault> {
        let (mut state, mut data) = (Chunked::default(), Vec::new());
        for piece in pieces {
            let used = state.feed(piece, |bytes| {
                data.extend_from_slice(bytes);
                Ok(())
            })?;
            assert_eq!(used, piece.len());
        }
        Ok((data, state == Chunked::Over))
    }

    #[test]
    fn a_body_may_be_cut_anywhere() {
        let body = b"5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        for cut in 0..body.len() {
            let read = decoded(&[&body[..cut], &body[cut..]]).unwrap();
            assert_eq!(read, (b"helloabcdefghijklmnopqrstuvwxyz".to_vec(), true), "cut at {cut}");
        }
    }

    #[test]
    fn framing_that_is_none_is_a_fault() {
        for body in [&b"x\r\n"[..], b"2\r\nabc", b"0\r\nTrailer: 1\r\n\r\n", b"\r\n"] {
            assert!(decoded(&[body]).is_err(), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn what_is_behind_the_end_is_left() {
        let mut state = Chunked::default();
        assert_eq!(state.feed(b"0\r\n\r\nHTTP", |_| Ok(())).unwrap(), 5);
    }
}
