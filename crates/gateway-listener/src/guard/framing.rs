//! Where one request ends and the next begins, followed byte by byte over any split of the stream.

use super::chunked::ChunkScanner;
use super::head::{BodyFraming, HeadScanner};
use crate::activity::Phase;

/// How an HTTP/2 client begins (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that are not let through: everything from `at` on, an offset into the slice given to [`Framing::advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// In a head; there is a byte at this offset.
    Head { at: usize },
    /// In a head that is larger than heads may be.
    Large { at: usize },
    /// In the framing of a body.
    Body { at: usize },
}

/// The position in a connection's bytes.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    head: HeadScanner,
    /// Bytes of the present head so far.
    head_len: usize,
    max_head: usize,
}

#[derive(Debug)]
enum Place {
    /// At the start of the connection, so many bytes of the preface seen.
    Opening(usize),
    Head,
    Length(u64),
    Chunked(ChunkScanner),
    /// HTTP/2 from here on.
    Transparent,
    Refused,
}

impl Framing {
    /// The start of a connection whose heads may have so many bytes.
    pub(super) fn new(max_head: usize) -> Self {
        Self { place: Place::Opening(0), head: HeadScanner::default(), head_len: 0, max_head }
    }

    /// Follows the next bytes of the connection. Nothing may be passed on after a refusal.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let mut at = 0;
        while at < bytes.len() {
            match self.step(&bytes[at..]) {
                Ok(taken) => at += taken,
                Err(refusal) => {
                    self.place = Place::Refused;
                    return Err(match refusal {
                        Refusal::Head { at: offset } => Refusal::Head { at: at + offset },
                        Refusal::Large { at: offset } => Refusal::Large { at: at + offset },
                        Refusal::Body { at: offset } => Refusal::Body { at: at + offset },
                    });
                }
            }
        }
        Ok(())
    }

    pub(super) fn phase(&self) -> Phase {
        match self.place {
            Place::Opening(0) => Phase::Fresh,
            Place::Opening(_) => Phase::MidHead,
            Place::Head if self.head.has_begun() => Phase::MidHead,
            Place::Transparent => Phase::Multiplexed,
            _ => Phase::PastHead,
        }
    }

    /// Whether the peer has nothing under way, as far as its bytes tell.
    pub(super) fn is_between_messages(&self) -> bool {
        match self.place {
            Place::Opening(matched) => matched == 0,
            Place::Head => !self.head.has_begun(),
            Place::Transparent => true,
            Place::Length(_) | Place::Chunked(_) | Place::Refused => false,
        }
    }

    /// Takes at least one byte, and as many as belong to the present place.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match &mut self.place {
            Place::Opening(matched) => {
                let matched = *matched;
                self.open(matched, bytes)
            }
            Place::Head => self.scan_head(bytes),
            Place::Length(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.place = Place::Head;
                }
                Ok(taken)
            }
            Place::Chunked(chunks) => {
                let (taken, ended) = chunks.scan(bytes).map_err(|at| Refusal::Body { at })?;
                if ended {
                    self.place = Place::Head;
                }
                Ok(taken)
            }
            Place::Transparent => Ok(bytes.len()),
            Place::Refused => Err(Refusal::Body { at: 0 }),
        }
    }

    fn open(&mut self, matched: usize, bytes: &[u8]) -> Result<usize, Refusal> {
        let rest = &PREFACE[matched..];
        let same = rest.iter().zip(bytes).take_while(|(expected, byte)| expected == byte).count();
        if same == rest.len() {
            self.place = Place::Transparent;
        } else if same == bytes.len() {
            self.place = Place::Opening(matched + same);
        } else {
            // HTTP/1 after all: hyper, too, now reads the bytes that matched as the beginning of a head.
            self.place = Place::Head;
            self.replay(&PREFACE[..matched])?;
            return self.scan_head(bytes);
        }
        Ok(same)
    }

    fn replay(&mut self, mut seen: &[u8]) -> Result<(), Refusal> {
        while !seen.is_empty() {
            // Those bytes were passed on already; the refusal stands at the first that were not.
            let taken = self.scan_head(seen).map_err(|_| Refusal::Head { at: 0 })?;
            seen = &seen[taken..];
        }
        Ok(())
    }

    fn scan_head(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let (taken, framing) = self.head.scan(bytes).map_err(|at| Refusal::Head { at })?;
        if self.head_len + taken > self.max_head {
            return Err(Refusal::Large { at: self.max_head - self.head_len });
        }
        self.head_len += taken;
        if let Some(framing) = framing {
            (self.head, self.head_len) = (HeadScanner::default(), 0);
            self.place = match framing {
                BodyFraming::Length(0) => Place::Head,
                BodyFraming::Length(length) => Place::Length(length),
                BodyFraming::Chunked => Place::Chunked(ChunkScanner::default()),
            };
        }
        Ok(taken)
    }
}
