//! One limit for many gateways: the decisions of `gateway-ratelimit` as one atomic script in Redis.
mod alone;
mod connection;
mod keeper;
mod ledger;
mod node;
mod refusal;
mod request;
mod roll;
mod script;
mod settings;
mod store;

pub use connection::RedisStatus;
pub use settings::{Clock, OnError, RedisSettings, RedisSettingsError};
pub use store::RedisLimits;
