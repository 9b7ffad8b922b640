//! The admin API over a store in memory, request by request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "admin/access.rs"]
mod access;
#[path = "admin/changes.rs"]
mod changes;
#[path = "admin/creation.rs"]
mod creation;
#[path = "admin/fake_store.rs"]
mod fake_store;
#[path = "admin/invalid.rs"]
mod invalid;
#[path = "admin/lists.rs"]
mod lists;
#[path = "admin/scene.rs"]
mod scene;
