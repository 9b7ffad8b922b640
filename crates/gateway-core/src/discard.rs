//! The body of a call that is refused by its head.
//!
//! HTTP/1 cannot stop a body: whoever wants to keep the connection has to take in all of it. What is small is taken in and
//! thrown away, so that the caller may go on with its connection. Otherwise the answer says that the connection ends with it
//! (RFC 9112, section 9.6), lest the caller send its next call into one that is closed.
//!
//! HTTP/2 can stop a body, but what is on its way comes all the same, and a connection may bear only so much of it. So there, too,
//! what is small is taken in.

use std::time::Duration;

use bytes::Buf;
use http::request::Parts;
use http::{Version, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::service::RequestSource;

/// How much is taken in for that, in bytes.
const SMALL: u64 = 64 * 1024;
/// How long it may take. A caller that sends a small body needs no longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Throws a body away. Returns whether the connection can go on.
pub(crate) async fn discard(head: &Parts, body: impl RequestSource) -> bool {
    if body.is_end_stream() {
        return true;
    }
    // Whoever waits to be asked for its body sends none.
    let is_worth_it = !head.headers.contains_key(header::EXPECT) && body.size_hint().lower() <= SMALL;
    let is_read_out = is_worth_it && timeout(PATIENCE, read_out(body)).await.unwrap_or(false);
    is_read_out || head.version > Version::HTTP_11
}

async fn read_out(mut body: impl RequestSource) -> bool {
    let mut left = SMALL;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let size = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        let Some(rest) = left.checked_sub(size) else { return false };
        left = rest;
    }
    true
}
