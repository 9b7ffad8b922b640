//! The architecture, held by tests: which crate may use which, what stays out of which crate, and how large things get.
//!
//! A failure names the place and what to do about it. What is let off a rule stands in a short list with a reason, next
//! to the rule.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "architecture/invariants.rs"]
mod invariants;
#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/sizes.rs"]
mod sizes;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/workspace.rs"]
mod workspace;

/// Fails with everything that was found, not only with the first of it.
fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}
