//! The embeddable LLM gateway: one hyper service made of the eight steps of a call.
//!
//! A [`Gateway`] is built from a configuration and gives out [`GatewayService`]s, which any hyper server can serve.
//! A call goes through the steps in the order of these modules: `accept`, `authenticate`, `ingest`, `admit`, `plan`,
//! `attempt`, `relay`, `settle`. Each takes the value that the one before it made, so the compiler keeps the order.
//!
//! This crate opens no server socket, reads no file and no environment, spawns no task and starts no thread.
//!
//! ```
//! use gateway_config::Config;
//! use gateway_core::Gateway;
//!
//! let config = Config::from_yaml(
//!     "
//! auth: none
//! providers:
//!   - name: local
//!     api_base: http://127.0.0.1:8080/v1
//! ",
//! )?;
//! let gateway = Gateway::builder().build(&config)?;
//! let service = gateway.service();
//! # drop(service);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod admit;
mod answer;
mod attempt;
mod authenticate;
mod clock;
mod cors;
mod discard;
mod encode;
mod gate;
mod gateway;
mod headers;
mod health;
mod ingest;
mod models;
mod passthrough;
mod plan;
mod redact;
mod rejection;
mod relay;
mod report;
mod reserve;
mod retired;
mod service;
mod settle;
mod snapshot;
mod suggestion;
mod trace;

pub use gateway::{Gateway, GatewayBuilder};
pub use health::Condition;
pub use rejection::{KeyFault, Rejection};
pub use relay::{AnswerBody, BrokenAnswer};
pub use report::{ProviderReport, TargetReport};
pub use service::{GatewayService, RequestSource};
pub use snapshot::{CompileError, CompileErrors, Ejections};

pub use gateway_call as call;
pub use gateway_extension as extension;
pub use gateway_keystore as keystore;
pub use gateway_protocol as protocol;
pub use gateway_ratelimit as ratelimit;
pub use gateway_resilience as resilience;
pub use gateway_routing as routing;
