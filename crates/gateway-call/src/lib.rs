//! The nouns of one LLM call, shared by every layer of the gateway.
//!
//! This crate names things: which API a caller used ([`Endpoint`]), what was asked for ([`Call`]), what came of an
//! attempt ([`Outcome`]), how long it may take ([`Deadline`]), how many tokens it took ([`Usage`]) and what an observer
//! is told ([`Event`], with [`Label`]s for names). It holds no logic of any step, does no I/O, reads no clock and knows no vendor's JSON.
//!
//! Start with [`Call`].
//!
//! ```
//! use gateway_call::{Endpoint, ModelPattern};
//!
//! assert_eq!(Endpoint::from_path("/v1/embeddings"), Some(Endpoint::Embeddings));
//! assert!(ModelPattern::new("gpt-*").matches("gpt-4o"));
//! ```

mod call;
mod credential;
mod deadline;
mod endpoint;
mod event;
mod label;
mod model;
mod outcome;
mod request_id;
mod trace;
mod usage;

pub use call::{Call, Tightening};
pub use credential::CREDENTIAL_HEADERS;
pub use deadline::Deadline;
pub use endpoint::{BodyKind, Endpoint};
pub use event::{AttemptRecord, CallRecord, Event, Observer, RefusedBy, Tokens};
pub use label::{Label, WeakLabel};
pub use model::{ModelName, ModelPattern};
pub use outcome::{Outcome, TimeoutPhase};
pub use request_id::RequestId;
pub use trace::{CallTrace, TraceParent};
pub use usage::Usage;
