//! The sections of the file, one module each: what a key is called, what it may hold, and what it means.
//!
//! A section reads its part of the tree straight into the resolved types. References between sections (a target's
//! provider, a fallback's model) are settled in the order in which [`read`] calls them. A value that was refused
//! leaves a stand-in behind; no configuration is made from it, because the report is no longer clean.

mod admin;
mod catalogue;
mod ceiling;
mod circuit_breaker;
mod crowd;
mod fallback;
mod header;
mod health_check;
mod hedge;
mod logging;
mod mapping;
mod master_key;
mod model;
mod models;
mod provider;
mod providers;
mod rate_limit;
mod redis;
mod retry;
mod server;
mod serving;
mod storage;
pub(crate) mod target;
mod timeouts;
mod url;

use gateway_upstream::Timeouts;

use self::serving::Serving;
use crate::config::{Admin, Auth, Config, MasterKey, Store, StorePlace};
use crate::fields::Fields;
use crate::item::Item;
use crate::stored::Stored;
use crate::vocabulary::Vocabulary;

/// Reads the whole tree and what a store holds besides; `None` if the tree is not even a mapping.
pub(crate) fn read<'a>(root: &Item<'a>, stored: &'a Stored<'_>, vocabulary: &Vocabulary) -> Option<Config> {
    let mut fields = root.fields()?;
    let server = server::read(&mut fields);
    let logging = logging::read(&mut fields);
    let provider_suffix = provider_suffix(&mut fields);
    let verify_ssl = fields.flag("verify_ssl").unwrap_or(true);
    let timeouts = timeouts::read(&mut fields).over(Timeouts::default());
    let health_check = health_check::read_defaults(&mut fields);
    let defaults = provider::Defaults { vocabulary, verify_ssl, timeouts, health_check: &health_check };
    let catalogue = providers::read_all(&mut fields, stored, &defaults);
    let serving = Serving::new(&catalogue);
    let around = model::Surroundings { serving: &serving, defaults: &defaults };
    let models = models::read_all(&mut fields, stored, around, provider_suffix.as_deref());
    let (retry, retry_budget) = retry::read(&mut fields);
    let circuit_breaker = circuit_breaker::read(&mut fields);
    let passthrough = fields.take("passthrough").and_then(|item| catalogue.passthrough(&item));
    let (mut providers, disabled_providers) = catalogue.into_providers();
    let withheld_models = models.withheld();
    let models = models.finish(&mut providers);
    let callers = Callers::read(&mut fields);
    let rewrite_response = fields.flag("rewrite_response").unwrap_or(true);
    let redis = redis::read(&mut fields);
    callers.warn(root);
    fields.finish();
    let Callers { auth, master_keys, admin, store } = callers;
    Some(Config {
        server,
        providers,
        disabled_providers,
        models,
        withheld_models,
        awaits_store: !stored.is_read,
        verify_ssl,
        timeouts,
        retry,
        retry_budget,
        circuit_breaker,
        health_check,
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

/// Who may call, and where their keys are.
struct Callers {
    auth: Auth,
    master_keys: Vec<MasterKey>,
    admin: Admin,
    store: Store,
}

impl Callers {
    fn read(fields: &mut Fields<'_>) -> Self {
        let auth = fields.take("auth");
        let auth = auth.and_then(|item| item.choice(&[("required", Auth::Required), ("none", Auth::None)]));
        let store = storage::read_store(fields);
        let master_keys = master_key::read_all(fields, &store);
        let master_keys = rate_limit::read_draft(fields, master_keys, &store.digester());
        Self { auth: auth.unwrap_or(Auth::Required), master_keys, admin: admin::read(fields), store }
    }

    fn warn(&self, root: &Item<'_>) {
        let has_key = self.master_keys.iter().any(|key| key.enabled);
        if self.auth == Auth::None && has_key {
            root.warn("keys are configured, but `auth: none` lets everybody call; remove it to ask for a key");
        }
        let is_in_store = matches!(self.store.place, StorePlace::Sqlite(_) | StorePlace::Postgres(_));
        if self.auth == Auth::Required && !has_key && self.admin.key.is_none() && !is_in_store {
            root.warn(
                "callers need a key and none is enabled; add one to `master_keys`, make one with `gateway-server keys create`, \
                 or set `auth: none`",
            );
        }
    }
}
