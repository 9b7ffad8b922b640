//! `rate_limit` and `budget` of a key, and `rate_limit_config`, the older section in which limits define the keys.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_call::ModelPattern;
use gateway_ratelimit::{Budget, BudgetPeriod, LimitError, Limits, RateLimit, UsdBudget};
use gateway_secret::{KeyDigest, KeyDigester};

use super::master_key::warn_if_weak;
use crate::config::{KeyMaterial, MasterKey};
use crate::fields::Fields;
use crate::item::Item;

/// Reads `rate_limit`; 0 blocks.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<RateLimit> {
    let mut fields = fields.take("rate_limit")?.fields()?;
    let mut count = |key| fields.take(key).and_then(|item| item.integer(0..=u64::MAX));
    let mut limit = RateLimit {
        requests_per_second: count("requests_per_second"),
        burst_size: count("burst_size"),
        requests_per_minute: count("requests_per_minute"),
        tokens_per_minute: count("tokens_per_minute"),
        limit: count("limit"),
        ..RateLimit::default()
    };
    limit.max_concurrent = fields.take("max_concurrent").and_then(|item| item.integer(0..=u32::MAX.into()));
    limit.period_seconds = read_period(&mut fields);
    refuse_senseless(&limit, &fields);
    fields.finish();
    Some(limit)
}

/// Reads `budget`, in US dollars.
pub(super) fn read_budget(fields: &mut Fields<'_>) -> Option<Budget> {
    let item = fields.take("budget")?;
    let mut fields = item.fields()?;
    let usd = fields.require("usd").and_then(|item| item.number(0.0..=f64::INFINITY));
    let periods = BudgetPeriod::ALL.map(|period| (period.name(), period));
    let period = fields.require("period").and_then(|item| item.choice(&periods));
    let budget = Budget::try_from(UsdBudget { usd: usd?, period: period? });
    let budget = budget.map_err(|error| refuse(&fields, &error)).ok();
    fields.finish();
    budget
}

/// What a limit and a budget amount to. Nothing for a limit that was refused where it was read.
pub(super) fn limits(limit: Option<&RateLimit>, budget: Option<Budget>) -> Arc<Limits> {
    Arc::new(limit.cloned().unwrap_or_default().limits(budget).unwrap_or_default())
}

/// Refuses numbers that are no limit, alone or together, by the rules that hold for limits from everywhere.
fn refuse_senseless(limit: &RateLimit, fields: &Fields<'_>) {
    if let Err(error) = limit.limits(None) {
        refuse(fields, &error);
    }
}

fn refuse(fields: &Fields<'_>, error: &LimitError) {
    match fields.find(error.field) {
        // What could not be read was refused for that.
        Some(item) if item.is_refused() => {}
        Some(item) => item.refuse(&error.problem),
        None => fields.item().refuse(error.to_string()),
    }
}

fn read_period(fields: &mut Fields<'_>) -> Option<u32> {
    fields.take("period_seconds").and_then(|item| item.integer(1..=u32::MAX.into()))
}

/// Reads `rate_limit_config`. Without `master_keys` it defines the keys; with them it may only limit those.
pub(super) fn read_draft(
    root: &mut Fields<'_>,
    listed: Option<Vec<MasterKey>>,
    digester: &KeyDigester,
) -> Vec<MasterKey> {
    let Some(section) = root.take_older("rate_limit_config") else { return listed.unwrap_or_default() };
    let Some(mut fields) = section.fields() else { return listed.unwrap_or_default() };
    let entries = fields.take("keys").map(|item| item.entries()).unwrap_or_default();
    fields.finish();
    let drafts = entries.iter().map(|(key, item)| (*key, item, read_draft_limit(item)));
    match listed {
        Some(mut keys) => {
            let places = keys.iter().enumerate().map(|(index, listed)| (listed.key.digest(digester), index));
            let places: HashMap<KeyDigest, usize> = places.collect();
            for (key, item, limit) in drafts {
                let index = places.get(&digester.digest(key.as_bytes()));
                impose(index.and_then(|index| keys.get_mut(*index)), item, limit);
            }
            keys
        }
        None => {
            drafts.enumerate().filter_map(|(index, (key, item, limit))| define_key(index, key, item, limit)).collect()
        }
    }
}

fn read_draft_limit(item: &Item<'_>) -> Option<RateLimit> {
    let mut fields = item.fields()?;
    let limit = fields.require("limit").and_then(|item| item.integer(0..=u64::MAX));
    let limit = RateLimit { limit, period_seconds: read_period(&mut fields), ..RateLimit::default() };
    refuse_senseless(&limit, &fields);
    fields.finish();
    Some(limit)
}

/// Limits a key that is listed elsewhere. A limit on one that is not limits nobody, which nobody can have meant.
fn impose(listed: Option<&mut MasterKey>, item: &Item<'_>, limit: Option<RateLimit>) {
    let Some(listed) = listed else {
        item.refuse(
            "the limit is on a key that is not in `master_keys`; add it there, or give that key a `rate_limit`",
        );
        return;
    };
    if listed.rate_limit.is_some() {
        item.refuse(format!("`{}` has a `rate_limit` of its own; keep one of them", listed.name));
        return;
    }
    listed.limits = limits(limit.as_ref(), listed.budget);
    listed.rate_limit = limit;
}

/// The key's name counts from 1; its text is a secret and cannot serve as one.
fn define_key(index: usize, key: &str, item: &Item<'_>, limit: Option<RateLimit>) -> Option<MasterKey> {
    let secret = item.checked_secret(key)?;
    warn_if_weak(item, &secret);
    Some(MasterKey {
        name: format!("rate_limit_config[{}]", index + 1),
        key: KeyMaterial::Plain(secret),
        allowed_models: vec![ModelPattern::new("*")],
        enabled: true,
        limits: limits(limit.as_ref(), None),
        rate_limit: limit,
        budget: None,
        expires_at: None,
        metadata: Vec::new(),
    })
}
