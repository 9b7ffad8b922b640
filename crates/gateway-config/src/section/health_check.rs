//! `health_check`, at the top and in a provider: who is asked in the background whether they answer, and how.
//!
//! A check is a real call, so nobody is asked unless an `interval` says so. What is left out in a provider is as at the top.

use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_call::ModelPattern;

use crate::config::{HealthCheck, HealthCheckDefaults, Mapping, Provider};
use crate::fields::Fields;
use crate::item::Item;
use crate::unit::shown_duration;

/// More often than the shortest, checks are a load; what the longest finds is a day old.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// Below the shortest, no provider answers; the longest is that of the Admin API's checks.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);

/// What a provider may say of checks.
const SHAPE: &str = "true, false, or some of `interval`, `timeout` and `model`";

/// What is said about checks, at the top or in a provider.
#[derive(Default)]
struct Settings<'a> {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    /// The model with the place where it is named.
    model: Option<(Item<'a>, &'a str)>,
}

/// Reads what holds for all providers.
pub(super) fn read_defaults(root: &mut Fields<'_>) -> HealthCheckDefaults {
    let default = HealthCheckDefaults::default();
    let Some(item) = root.take("health_check") else { return default };
    let Settings { interval, timeout, model } = settings(&item);
    HealthCheckDefaults {
        interval,
        timeout: timeout.unwrap_or(default.timeout),
        model: model.map(|(_, name)| name.to_owned()),
    }
}

/// Reads what holds for one provider, of which the rest is known.
pub(super) fn read(
    fields: &mut Fields<'_>,
    provider: &Provider,
    defaults: &HealthCheckDefaults,
) -> Option<HealthCheck> {
    let item = fields.take("health_check");
    let own = match &item {
        None => Settings::default(),
        Some(item) if item.is_text() => item.flag_or(SHAPE).filter(|is_on| *is_on).map(|_| Settings::default())?,
        Some(item) => settings(item),
    };
    let timeout = own.timeout.unwrap_or(defaults.timeout);
    let own_model = own.model.as_ref().map(|(item, name)| checked_model(item, name, &provider.model_mapping));
    let Some(interval) = own.interval.or(defaults.interval) else {
        if let Some(item) = item {
            item.warn("without effect; give an `interval` here, or in `health_check` at the top level");
        }
        return None;
    };
    let model = own_model.or_else(|| usual_model(&provider.model_mapping, defaults)).map(str::to_owned);
    if model.is_none() && provider.enabled {
        fields.item().warn(
            "its health is not checked, because its `model_mapping` names no model to ask for; \
             give `health_check: { model: NAME }`, or `health_check: false`",
        );
    }
    Some(HealthCheck { model: model?, interval, timeout })
}

fn settings<'a>(item: &Item<'a>) -> Settings<'a> {
    let Some(mut fields) = item.fields() else { return Settings::default() };
    let settings = Settings {
        interval: within(&mut fields, "interval", &INTERVAL),
        timeout: within(&mut fields, "timeout", &TIMEOUT),
        model: fields.take("model").and_then(|item| item.name("the public name of a model").map(|name| (item, name))),
    };
    fields.finish();
    settings
}

fn within(fields: &mut Fields<'_>, key: &'static str, range: &RangeInclusive<Duration>) -> Option<Duration> {
    let duration = fields.duration(key)?;
    if !range.contains(&duration) {
        let item = fields.given_duration(key).unwrap_or_else(|| fields.item().clone());
        let [found, least, most] = [duration, *range.start(), *range.end()].map(shown_duration);
        item.refuse(format!("found {found}, expected {least} to {most}"));
    }
    Some(duration)
}

/// The provider's own model. One that it does not serve would have it look ill for ever.
fn checked_model<'a>(item: &Item<'_>, name: &'a str, mapping: &[Mapping]) -> &'a str {
    if !is_served(name, mapping) {
        item.refuse_text(name, "a model that the provider's `model_mapping` has");
    }
    name
}

/// The model that is asked for where none is named: that of all providers if it is served here, else the first that is named.
fn usual_model<'a>(mapping: &'a [Mapping], defaults: &'a HealthCheckDefaults) -> Option<&'a str> {
    let of_all = defaults.model.as_deref().filter(|name| is_served(name, mapping));
    let named = || mapping.iter().map(|entry| &entry.public).find(|name| name.is_exact());
    of_all.or_else(|| named().map(ModelPattern::as_str))
}

fn is_served(name: &str, mapping: &[Mapping]) -> bool {
    mapping.is_empty() || mapping.iter().any(|entry| entry.public.as_str() == name || entry.public.matches(name))
}
