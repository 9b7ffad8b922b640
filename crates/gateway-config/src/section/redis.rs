//! `redis`: where several gateways count together. Its URL may hold a password and is never repeated.

use std::time::Duration;

use gateway_secret::Secret;

use super::storage::{has_scheme, refuse_unseen};
use crate::config::{OnRedisError, Redis};
use crate::fields::Fields;

/// How long a decision may wait: below, no network is fast enough, and beyond, callers had better be told something.
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);

/// The longest prefix.
const MOST_LETTERS: usize = 64;

/// Reads `redis`; none if its URL is empty.
pub(super) fn read(root: &mut Fields<'_>) -> Option<Redis> {
    const EXPECTED: &str = "a redis:// or rediss:// URL, or nothing";
    let mut fields = root.take("redis").and_then(|item| item.fields())?;
    let on_error = fields.take("on_error");
    let on_error =
        on_error.and_then(|item| item.choice(&[("local", OnRedisError::Local), ("deny", OnRedisError::Deny)]));
    let (timeout, prefix) = (timeout(&mut fields), prefix(&mut fields));
    let url = fields.take("url");
    fields.finish();
    let item = url?;
    let url = item.scalar(EXPECTED).filter(|url| !url.is_empty() && *url != "none")?;
    if !has_scheme(url, &["redis://", "rediss://"]) {
        refuse_unseen(&item, EXPECTED);
    }
    Some(Redis { url: Secret::from(url), prefix, on_error: on_error.unwrap_or(OnRedisError::Local), timeout })
}

fn timeout(fields: &mut Fields<'_>) -> Option<Duration> {
    let timeout = fields.duration("timeout")?;
    if !TIMEOUT.contains(&timeout) {
        let item = fields.given_duration("timeout").unwrap_or_else(|| fields.item().clone());
        item.refuse(format!("found {timeout:?}, expected {:?} to {:?}", TIMEOUT.start(), TIMEOUT.end()));
    }
    Some(timeout)
}

/// Braces mean something to a cluster, and what cannot be seen is not meant.
fn prefix(fields: &mut Fields<'_>) -> Option<String> {
    const EXPECTED: &str = "up to 64 letters, digits or signs other than braces, such as llmgw:";
    let item = fields.take("prefix")?;
    let prefix = item.scalar(EXPECTED)?;
    let is_meant = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '{' | '}');
    if prefix.is_empty() || prefix.len() > MOST_LETTERS || !prefix.chars().all(is_meant) {
        item.refuse_text(prefix, EXPECTED);
    }
    Some(prefix.to_owned())
}
