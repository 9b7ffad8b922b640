//! Split a byte stream into server-sent-event frames, without I/O and without decoding text.
//!
//! [`SseDecoder`] takes the chunks of a body as the network delivered them and gives back one [`Frame`] per event,
//! whatever the chunk borders and line ends were. A frame that lay whole within a chunk is a slice of it; only an event
//! that spans chunks is copied. The rules are those of the WHATWG event-stream format, section 9.2.6 of the HTML
//! standard, on bytes: text is never decoded, so a character cut in two by a chunk border is none of this crate's
//! business.
//!
//! It does no I/O, knows no vendor's payload and never reconnects.
//!
//! ```
//! use bytes::Bytes;
//! use gateway_sse::{Data, MAX_EVENT, SseDecoder};
//!
//! let mut decoder = SseDecoder::new(MAX_EVENT);
//! decoder.push(Bytes::from_static(b": hello\r\n\r\nevent: greeting\r\ndata: {\"a\""));
//! assert_eq!(decoder.next_frame()?.map(|frame| frame.data()), Some(Data::None));
//! assert_eq!(decoder.next_frame()?, None);
//!
//! decoder.push(Bytes::from_static(b":1}\r\n\r\n"));
//! let frame = decoder.next_frame()?.ok_or("an event is complete")?;
//! assert_eq!(frame.event(), Some(&b"greeting"[..]));
//! assert_eq!(frame.data().bytes(&frame), Some(&b"{\"a\":1}"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decoder;
mod frame;

pub use decoder::{EventTooLarge, MAX_EVENT, SseDecoder};
pub use frame::{Data, Field, Fields, Frame};
