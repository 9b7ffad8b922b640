//! Server sockets for any hyper service: bind, TLS, accept, guard, drain.
//!
//! A [`Listener`] turns connections into requests. It enforces what must hold before a request is worth looking at:
//! one unambiguous framing for every HTTP/1 message, a whole head within its time and size, no connection held open
//! for nothing, neither by a peer that sends nothing nor by one that reads nothing. When asked to stop it takes no new
//! connection, lets running calls finish and says how many it had to cut; whatever a client has sent by then is served.
//!
//! It knows nothing of LLMs, paths, keys or bodies, and never answers a request itself except to refuse a malformed
//! head (400, 414, 431, each with the connection closed).
//!
//! Start with [`Listener::bind`], or with [`inherited()`] where the sockets were opened by systemd.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use gateway_listener::{Listener, ListenerConfig};
//! use hyper::{Request, Response, body::Incoming, service::service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind(&ListenerConfig::new("127.0.0.1:0")).await?;
//! println!("listening on {}", listener.local_addr());
//! let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::from("hello"))));
//! # let stop = std::future::ready(());
//! let drained = listener.serve(service, stop).await;
//! assert_eq!(drained.cut, 0);
//! # Ok(())
//! # }
//! ```

mod activity;
mod bind_error;
mod config;
mod connection;
mod detect;
mod drain;
mod guard;
mod handover;
mod inherited;
mod listener;
mod meter;
mod multiplexed;
mod noted;
mod supervisor;
mod tls;
mod workers;

pub use bind_error::BindError;
pub use config::{HeadLimits, ListenerConfig, TlsFiles};
pub use inherited::{Inherited, InheritedError, InheritedSocket, inherited};
pub use listener::{Drained, Listener};
pub use tls::Certificates;
