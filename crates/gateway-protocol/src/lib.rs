//! Everything that knows a vendor's JSON: scanning, splicing and judging bodies and frames.
//!
//! Down the pipeline, [`parse_json`] and [`MultipartScanner`] turn a request body into a [`Call`](gateway_call::Call)
//! and a [`Template`], which is the body with a hole where the upstream's model name goes. Up the pipeline,
//! [`scan_answer`] with [`annotate`] and [`StreamRewriter`] name the model that served and read the usage. [`Prompt`] and
//! [`Sizing`] say what a call may take before there is an answer. [`Provider`] knows how a vendor is addressed and how its
//! answers are judged, and [`Refusal`] how an error looks to a caller's SDK.
//!
//! Bodies are edited as bytes: scanned once, validated in the same pass, spliced. Nothing outside an edit changes, and
//! nothing is parsed into a tree to be serialised again. This crate does no I/O, reads no clock and never decides
//! whether something is tried again.
//!
//! Start with [`parse_json`].
//!
//! ```
//! use bytes::Bytes;
//! use gateway_call::{Endpoint, ModelName};
//! use gateway_protocol::parse_json;
//!
//! let body = Bytes::from_static(br#"{"temperature": 1.0, "model_id": "fast", "gateway": {"tags": {"team": "a"}}}"#);
//! let request = parse_json(Endpoint::ChatCompletions, body)?;
//! assert_eq!(request.call.models, [ModelName::from("fast")]);
//!
//! let sent = request.template.fill(&ModelName::from("vendor/fast-2")).into_bytes();
//! assert_eq!(sent, &br#"{"temperature": 1.0, "model": "vendor/fast-2"}"#[..]);
//! # Ok::<(), gateway_protocol::RequestError>(())
//! ```

mod answer;
mod chunks;
mod conversation;
mod edit;
mod fault;
mod gateway_member;
mod guard;
mod ingress;
mod json;
mod multipart;
mod prompt;
mod provider;
mod refusal;
mod reply;
mod retry_after;
mod segments;
mod served;
mod sizing;
mod status;
mod stream;
mod stream_options;
mod template;
mod usage;

pub use answer::{AnswerScan, NotJson, annotate, scan_answer};
pub use chunks::Chunks;
pub use conversation::Conversation;
pub use fault::UpstreamFault;
pub use ingress::{ParsedRequest, RequestError, parse_json};
pub use multipart::{Boundary, MultipartError, MultipartScanner, boundary};
pub use prompt::{Prompt, Texts};
pub use provider::{InvalidCredential, OpenAi, OpenAiConfig, Provider, builtin};
pub use refusal::{KEEP_ALIVE, Refusal, Trail, model_list, model_object, refusal_body, refusal_frame};
pub use segments::{Pieces, Segments};
pub use served::Served;
pub use sizing::Sizing;
pub use status::status_object;
pub use stream::{FrameKind, StreamRewriter};
pub use stream_options::names_usage_question;
pub use template::Template;
pub use usage::ReportedUsage;
