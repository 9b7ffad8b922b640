//! The sections of the file, one module each: what a key is called, what it may hold, and what it means.
//!
//! A section reads its part of the tree straight into the resolved types. References between sections (a target's
//! provider, a fallback's model) are settled in the order in which [`read`] calls them. A value that was refused
//! leaves a stand-in behind; no configuration is made from it, because the report is no longer clean.

mod admin;
mod catalogue;
mod ceiling;
mod circuit_breaker;
mod fallback;
mod header;
mod hedge;
mod logging;
mod mapping;
mod master_key;
mod model;
mod provider;
mod rate_limit;
mod redis;
mod retry;
mod server;
mod storage;
mod target;
mod timeouts;
mod url;

use gateway_upstream::Timeouts;

use crate::config::{Auth, Config, MasterKey, StorePlace};
use crate::fields::Fields;
use crate::item::Item;
use crate::vocabulary::Vocabulary;

/// Reads the whole tree; `None` if it is not even a mapping.
pub(crate) fn read(root: &Item<'_>, vocabulary: &Vocabulary) -> Option<Config> {
    let mut fields = root.fields()?;
    let server = server::read(&mut fields);
    let logging = logging::read(&mut fields);
    let provider_suffix = provider_suffix(&mut fields);
    let defaults = provider::Defaults {
        vocabulary,
        verify_ssl: fields.flag("verify_ssl").unwrap_or(true),
        timeouts: timeouts::read(&mut fields).over(Timeouts::default()),
    };
    let mut catalogue = provider::read_all(&mut fields, &defaults);
    let models = model::read_all(&mut fields, &mut catalogue, &defaults, provider_suffix.as_deref());
    let (retry, retry_budget) = retry::read(&mut fields);
    let circuit_breaker = circuit_breaker::read(&mut fields);
    let passthrough = fields.take("passthrough").and_then(|item| catalogue.passthrough(&item));
    let auth = fields.take("auth").and_then(|item| item.choice(&[("required", Auth::Required), ("none", Auth::None)]));
    let auth = auth.unwrap_or(Auth::Required);
    let master_keys = master_key::read_all(&mut fields);
    let master_keys = rate_limit::read_draft(&mut fields, master_keys);
    let rewrite_response = fields.flag("rewrite_response").unwrap_or(true);
    let admin = admin::read(&mut fields);
    let store = storage::read_store(&mut fields);
    let redis = redis::read(&mut fields);
    let is_stored = admin.key.is_some() || matches!(store.place, StorePlace::Sqlite(_) | StorePlace::Postgres(_));
    warn_about_callers(root, auth, &master_keys, is_stored);
    fields.finish();
    Some(Config {
        server,
        providers: catalogue.into_providers(),
        models,
        retry,
        retry_budget,
        circuit_breaker,
        master_keys,
        auth,
        provider_suffix,
        passthrough,
        rewrite_response,
        admin,
        store,
        redis,
        logging,
    })
}

/// The suffix without its slash; it is a prefix by now, the name is older than its use.
fn provider_suffix(fields: &mut Fields<'_>) -> Option<String> {
    let item = fields.take("provider_suffix")?;
    let text = item.scalar("a name, such as Proxy")?;
    if text.is_empty() {
        return None;
    }
    let suffix = item.name("a name, such as Proxy")?.trim_end_matches('/');
    if suffix.is_empty() || suffix.contains('/') {
        item.refuse_text(text, "one name without a slash, such as Proxy");
    }
    Some(suffix.to_owned())
}

fn warn_about_callers(root: &Item<'_>, auth: Auth, keys: &[MasterKey], may_be_stored: bool) {
    let has_key = keys.iter().any(|key| key.enabled);
    if auth == Auth::None && has_key {
        root.warn("keys are configured, but `auth: none` lets everybody call; remove it to ask for a key");
    }
    if auth == Auth::Required && !has_key && !may_be_stored {
        root.warn(
            "callers need a key and none is enabled; add one to `master_keys`, make one with `gateway-server keys create`, or \
             set `auth: none`",
        );
    }
}
