//! Secrets that cannot be shown, and digests that can be compared in public.
//!
//! A [`Secret`] holds a provider's or a caller's key. It has no `Display`, its `Debug` is a constant, nothing can
//! serialise it, and its bytes are wiped when it is dropped. The one way to its text is [`Secret::expose`], so every
//! use can be found by searching for that word. A [`KeyDigest`] stands for a caller's key wherever the key itself is
//! not needed, which is everywhere.
//!
//! This crate never stores, transmits or logs anything.
//!
//! ```
//! use gateway_secret::{KeyDigest, Secret};
//!
//! let key = Secret::from("sk-example");
//! assert_eq!(format!("{key:?}"), "Secret(…)");
//! assert_eq!(KeyDigest::of(b"sk-example"), KeyDigest::of(key.expose().as_bytes()));
//! ```

mod digest;
mod secret;

pub use digest::{KeyDigest, KeyDigester};
pub use secret::Secret;
