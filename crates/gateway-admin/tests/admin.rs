//! The admin API over a store in memory, request by request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "admin/access.rs"]
mod access;
#[path = "admin/at_once.rs"]
mod at_once;
#[path = "admin/changes.rs"]
mod changes;
#[path = "admin/creation.rs"]
mod creation;
#[path = "admin/document.rs"]
mod document;
#[path = "admin/entries.rs"]
mod entries;
#[path = "admin/entries_invalid.rs"]
mod entries_invalid;
#[path = "admin/fake_configuration.rs"]
mod fake_configuration;
#[path = "admin/fake_store.rs"]
mod fake_store;
#[path = "admin/fake_usage.rs"]
mod fake_usage;
#[path = "admin/health.rs"]
mod health;
#[path = "admin/health_checks.rs"]
mod health_checks;
#[path = "admin/invalid.rs"]
mod invalid;
#[path = "admin/lists.rs"]
mod lists;
#[path = "admin/pages.rs"]
mod pages;
#[path = "admin/reload.rs"]
mod reload;
#[path = "admin/scene.rs"]
mod scene;
#[path = "admin/usage.rs"]
mod usage;
