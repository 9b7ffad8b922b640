//! How a vendor is addressed and how its answers are judged.
//!
//! To add a protocol: one file in `provider/`, one line in [`builtin`].

mod openai;

use std::fmt;
use std::time::SystemTime;

use gateway_call::{Endpoint, Outcome};
use gateway_extension::Registry;
use gateway_secret::Secret;
use http::{HeaderMap, StatusCode, response};

use crate::UpstreamFault;

pub use openai::{OpenAi, OpenAiConfig};

/// A vendor's protocol. Chosen by name in a configuration; holds no state of any call.
pub trait Provider: Send + Sync + fmt::Debug {
    /// The path of an endpoint below the provider's configured base, such as `/chat/completions`.
    fn url_path(&self, endpoint: Endpoint) -> &'static str;

    /// Adds the credential to a request's headers, in place of any that is there.
    ///
    /// # Errors
    ///
    /// The credential has bytes that no header can carry; nothing was added.
    fn authorize(&self, headers: &mut HeaderMap, credential: &Secret) -> Result<(), InvalidCredential>;

    /// The verdict on an answer by its head alone, which was received at `received`: what it asks to wait for may be a
    /// date.
    fn classify(&self, head: &response::Parts, received: SystemTime) -> Outcome;

    /// The verdict on an error whose body was read, in an answer of this status: by its code, where that says more than
    /// the status. An error inside a success is judged as the status that it names, else by its code, and as transient
    /// if it says nothing.
    fn classify_fault(&self, status: StatusCode, fault: &UpstreamFault) -> Outcome;
}

/// A credential that cannot be sent: it has a line end, another control character or the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential has characters that no HTTP header can carry; check it for line ends")]
#[non_exhaustive]
pub struct InvalidCredential;

/// The protocols that come with the gateway.
pub fn builtin() -> Registry<dyn Provider> {
    Registry::new().with::<OpenAi>()
}
