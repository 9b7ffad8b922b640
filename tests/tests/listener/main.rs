//! The callers' side of the built server: connections, protocols and the edges of a request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connections;
mod http2;
mod refusals;
mod tls;
