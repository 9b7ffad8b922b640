//! The admin API: who administers the gateway reads and changes its keys, providers and models here.
//!
//! [`AdminService`] is a hyper service over what a store can do ([`gateway_keystore::KeyRepository`],
//! [`gateway_keystore::SettingsRepository`]) and over the [`Configuration`] of the process. It lets nobody in without the admin
//! key, and says so before it says anything else. What it does are the methods of [`MasterKeys`] and [`StoredEntries`], which
//! know nothing of HTTP, so that the command line does the same with the same rules.
//!
//! This crate never serves calls of callers, never opens a socket, and never logs or keeps a key.
//!
//! Everything about it is described by a document that is made from the same types (`/openapi.json`), and shown by Swagger UI
//! (`/swagger-ui/`).
//!
//! ```
//! use gateway_admin::AdminService;
//!
//! assert!(AdminService::handles("/admin/v1/master-keys") && AdminService::handles("/openapi.json"));
//! assert!(!AdminService::handles("/v1/models"));
//! ```

mod body;
mod configuration;
mod detailed;
mod endpoint;
mod entries;
mod error;
mod export;
mod health;
mod import;
mod json;
mod master_keys;
mod openapi;
mod query;
mod reply;
mod reseal;
mod service;
mod swagger_ui;
mod system;
mod usage;

pub use configuration::{ConfigVersion, Configuration, Prober, Reloaded};
pub use detailed::{
    BreakerStatus, CheckFinding, CheckStatus, DetailedConfig, DetailedHealth, DetailedLeftOut, DetailedProvider,
    DetailedTarget, GatewayStatus, LastFailure, ProviderStatus,
};
pub use entries::{Draft, EntryError, EntryView, LeftOutView, ModelView, ProviderView, StoredEntries};
pub use error::{Invalid, Problem};
pub use export::Export;
pub use health::{
    CheckProvider, CheckProviders, Health, HealthError, ModelHealth, ProviderHealth, ProvidersHealth, check_provider,
    check_providers,
};
pub use import::{Import, ImportError, Plan, Step};
pub use master_keys::{
    Change, CreateKey, Cursor, FileKey, Issued, KeyError, KeyPage, KeySource, KeyView, MasterKeys, RotateKey,
    UpdateKey, UpdateLimits, Visibility,
};
pub use reseal::reseal;
pub use service::{AdminService, Parts};
pub use system::{Clock, Rng, System};
pub use usage::{
    UsageCursor, UsageDimension, UsageError, UsageFigures, UsageReport, UsageReports, UsageRequest, UsageRow,
};
