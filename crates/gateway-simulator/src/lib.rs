//! A real HTTP server that speaks the OpenAI API with settable latency and faults: the upstream of the quick start, the
//! tests and the benchmarks.
//!
//! It serves `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings` and `/v1/models`, plain and streamed, in the
//! shapes that official SDKs accept. Answers are deterministic: an echo of the last user message, so that a test can
//! check every byte of it on the other side. It holds no model, no state between calls, and reaches no other machine.
//!
//! **Any model name is served.** How a model behaves stands in its name, behind a `?`, so that nothing needs to be
//! configured:
//!
//! ```text
//! sim?latency=200ms&frame=20ms&frames=64     slow: 200 ms to the head, 64 frames 20 ms apart
//! sim?fail=0.1&status=503&retry_after=2s     one call in ten is answered 503 with Retry-After: 2
//! sim?cut=after_content                      the connection drops behind the first content frame
//! ```
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | `latency=DURATION` | from the request's end to the answer's head | 0 |
//! | `frame=DURATION` | between two content frames of a stream | 0: as fast as the peer reads |
//! | `frames=COUNT` | content frames of a stream | one a token |
//! | `words=COUNT` | answer with so many generated words | an echo; `frames` words if only that is set |
//! | `fail=RATIO` | share of calls that fail, 0 to 1 | 0, or 1 if `status` is set |
//! | `status=CODE` | the status of a failure, 400 to 599 | 500 |
//! | `code=NAME` | the `code` of a failure's error, such as `context_length_exceeded` | OpenAI's usual one for the status |
//! | `retry_after=DURATION` | `Retry-After` of a failure (and `retry-after-ms`) | none |
//! | `stall=POINT` | say nothing more from this point on | never |
//! | `cut=POINT` | drop the connection at this point | never |
//! | `as=NAME` | the name shown in the answer's `model` | the name asked for, settings included |
//!
//! A `DURATION` is a whole number with `us`, `ms` or `s`. A `POINT` is `before_head`, `after_head`, `after_role` (the
//! opening frame of a stream), `after_content` (the first content frame), `mid_char` (within the first content frame, in
//! the middle of a character if it has one of several bytes) or `before_done`. A plain answer breaks halfway at all
//! points behind its head.
//!
//! Names without settings that mean something: the words between hyphens in a name that begins with `sim-`.
//! `slow` is `latency=200ms&frame=20ms&frames=64`, `fail` is `status=500`, `limited` is `status=429&retry_after=1s`,
//! `stall` is `stall=after_content`, `cut` is `cut=after_content`. A name with the word `tool` answers with a call of the
//! first tool, if the request brings tools.
//!
//! Start with [`Simulator::start`].
//!
//! ```
//! use gateway_simulator::{Simulator, SimulatorConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::start(SimulatorConfig::default()).await?;
//! println!("point an OpenAI SDK at {}", simulator.api_base());
//! simulator.stop().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod behaviour;
mod body;
mod chat;
mod completion;
mod config;
mod embedding;
mod failure;
mod models;
mod request;
mod service;
mod simulator;
mod stream;
mod text;

pub use behaviour::{Behaviour, BehaviourError, Fault, FaultKind, Point};
pub use config::SimulatorConfig;
pub use simulator::{RunningSimulator, Simulator, SimulatorError};
