//! What one caller asked for, in the gateway's own words.

use std::time::Duration;

use crate::{Endpoint, ModelName};

/// One LLM call as the caller stated it, apart from the bytes of its body.
///
/// Made once by the ingress of the caller's protocol; every later step reads it and none changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The API that the caller used.
    pub endpoint: Endpoint,
    /// The models to try, in the caller's own spelling and order; never empty.
    ///
    /// The first is the `model` of the body, the others come from `gateway.models` and its equivalents.
    pub models: Vec<ModelName>,
    /// Whether the caller asked for a stream of server-sent events.
    pub stream: bool,
    /// Limits that the caller set for this call, tighter than the administrator's.
    pub tightening: Tightening,
    /// The caller's labels for the log, at most 16 pairs.
    pub tags: Vec<(String, String)>,
}

impl Call {
    /// The model that is tried first.
    ///
    /// `None` only for a call that was built by hand without any model; an ingress never makes one.
    pub fn first_model(&self) -> Option<&ModelName> {
        self.models.first()
    }
}

/// Limits of one call that its caller asked for. They can only tighten what the administrator configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tightening {
    /// At most this many retries per model.
    pub max_retries: Option<u32>,
    /// The whole call, from the caller's first byte to the answer's last.
    pub timeout: Option<Duration>,
    /// Until the first frame of a stream that carries content.
    pub first_token_timeout: Option<Duration>,
}
