//! The keys that a configuration lists, and behind them those of a store.

use std::sync::Arc;

use gateway_call::Label;
use gateway_config::{Auth, Config, MasterKey};
use gateway_keystore::{KeyStore, LayeredKeyStore, MemoryKeyStore, VirtualKey};

use crate::authenticate::Keys;

/// Before the names under which the keys of the file are counted, so that none of them is that of a stored key.
const FILE: &str = "file/";

/// Where keys are looked up; none if callers need no key.
pub(super) fn compile(config: &Config, stored: Option<&Arc<dyn KeyStore>>) -> Option<Keys> {
    if config.auth == Auth::None {
        return None;
    }
    let digester = config.store.digester();
    let mut listed = MemoryKeyStore::default();
    for key in &config.master_keys {
        listed.insert(key.key.digest(&digester), virtual_key(key));
    }
    let listed: Arc<dyn KeyStore> = Arc::new(listed);
    let store = match stored {
        Some(stored) => Arc::new(LayeredKeyStore::new(vec![listed, Arc::clone(stored)])),
        None => listed,
    };
    Some(Keys { digester, store })
}

fn virtual_key(key: &MasterKey) -> VirtualKey {
    VirtualKey {
        name: Label::of(&key.name),
        account: format!("{FILE}{}", key.name).into(),
        allowed_models: key.allowed_models.as_slice().into(),
        limits: Arc::clone(&key.limits),
        expires_at: key.expires_at,
        is_enabled: key.enabled,
    }
}
