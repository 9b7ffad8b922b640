//! The next state of a key: from what is asked, by the rules, without writing anything.

use std::time::Duration;

use gateway_keystore::{KeyRecord, RetiredKey, is_weak, preview};
use gateway_secret::{KeyDigest, Secret};
use jiff::Timestamp;

use super::request::{Change, CreateKey, UpdateKey};
use super::{KeyError, rule};
use crate::error::Invalid;

/// A new key of this identifier.
pub(super) fn new(
    id: &str,
    request: CreateKey,
    key: &Secret,
    digest: KeyDigest,
    now: Timestamp,
) -> Result<KeyRecord, Invalid> {
    rule::id(id)?;
    rule::key(key)?;
    let name = request.name.as_deref().unwrap_or(id);
    rule::name(name)?;
    let allowed_models = request.allowed_models.unwrap_or_else(|| vec!["*".to_owned()]);
    rule::allowed_models(&allowed_models)?;
    let rate_limit = request.rate_limit.and_then(rule::rate_limit);
    let budget = request.budget.map(rule::budget).transpose()?;
    rule::limits(rate_limit.as_ref(), budget)?;
    let expires_at = request.expires_at.map(|end| rule::expires_at(&end, now)).transpose()?;
    Ok(KeyRecord {
        name: name.into(),
        preview: preview(key.expose()),
        is_weak: is_weak(key.expose()),
        allowed_models,
        rate_limit,
        budget,
        expires_at,
        is_enabled: request.is_enabled.unwrap_or(true),
        metadata: rule::metadata(&request.metadata.unwrap_or_default())?,
        created_at: now,
        updated_at: now,
        ..KeyRecord::unlimited(id, digest)
    })
}

/// A key after a change. Only what is changed is checked, so that a key which does not keep the rules, made by hand perhaps,
/// can still be switched off.
pub(super) fn changed(before: &KeyRecord, request: &UpdateKey, now: Timestamp) -> Result<KeyRecord, Invalid> {
    let mut after = before.clone();
    if let Some(name) = &request.name {
        rule::name(name)?;
        after.name = name.as_str().into();
    }
    if let Some(patterns) = &request.allowed_models {
        rule::allowed_models(patterns)?;
        after.allowed_models.clone_from(patterns);
    }
    change_limits(&mut after, request)?;
    match &request.expires_at {
        Change::Keep => {}
        Change::Clear => after.expires_at = None,
        Change::Set(end) => after.expires_at = Some(rule::expires_at(end, now)?),
    }
    after.is_enabled = request.is_enabled.unwrap_or(before.is_enabled);
    match &request.metadata {
        Change::Keep => {}
        Change::Clear => "{}".clone_into(&mut after.metadata),
        Change::Set(notes) => after.metadata = rule::metadata(notes)?,
    }
    Ok(after)
}

fn change_limits(after: &mut KeyRecord, request: &UpdateKey) -> Result<(), Invalid> {
    if matches!((&request.rate_limit, &request.budget), (Change::Keep, Change::Keep)) {
        return Ok(());
    }
    match &request.rate_limit {
        Change::Keep => {}
        Change::Clear => after.rate_limit = None,
        Change::Set(limits) => after.rate_limit = limits.of(after.rate_limit.as_ref()),
    }
    match request.budget {
        Change::Keep => {}
        Change::Clear => after.budget = None,
        Change::Set(form) => after.budget = Some(rule::budget(form)?),
    }
    rule::limits(after.rate_limit.as_ref(), after.budget)
}

/// A key after its key was replaced.
pub(super) fn rotated(
    before: &KeyRecord,
    key: &Secret,
    digest: KeyDigest,
    overlap: Duration,
    now: Timestamp,
) -> Result<KeyRecord, KeyError> {
    if let Some(RetiredKey { valid_until: until, .. }) = before.previous
        && until > now
        && !overlap.is_zero()
    {
        return Err(KeyError::Overlapping { id: before.id.to_string(), until });
    }
    let retired = || {
        let valid_until = now.checked_add(overlap).ok()?;
        Some(RetiredKey { digest: before.digest, valid_until })
    };
    Ok(KeyRecord {
        digest,
        preview: preview(key.expose()),
        is_weak: is_weak(key.expose()),
        previous: retired().filter(|_| !overlap.is_zero()),
        ..before.clone()
    })
}
