//! The Admin API of this process: over its store, with the keys of its file beside them.

use std::sync::Arc;

use gateway_admin::{AdminService, FileKey, MasterKeys, Visibility};
use gateway_config::{Config, MasterKey};
use gateway_core::Gateway;
use gateway_keystore::{Actor, StoreError, StoreFuture, Version};
use gateway_secret::KeyDigester;
use gateway_store::{Backend, Follower};

use crate::state::Stored;

/// The Admin API of a gateway and its store. Without an admin key it lets nobody in, and says so.
pub(crate) fn service(config: &Config, gateway: &Gateway, stored: Option<&Stored>) -> AdminService {
    let digester = config.store.digester();
    let keys = match stored {
        Some(stored) => MasterKeys::new(Arc::<dyn Backend>::clone(&stored.backend), digester.clone(), Actor::Admin)
            .with_visibility(Arc::new(OwnView(Arc::clone(&stored.follower)))),
        None => MasterKeys::without_store(digester.clone()),
    };
    let gateway = gateway.clone();
    let listed = move || gateway.config().master_keys.iter().map(|key| file_key(key, &digester)).collect();
    AdminService::new(config.admin.key.as_ref(), keys.with_file_keys(listed))
}

/// A key of the file, as administrators see it.
pub(crate) fn file_key(key: &MasterKey, digester: &KeyDigester) -> FileKey {
    FileKey {
        allowed_models: key.allowed_models.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        rate_limit: key.rate_limit.clone(),
        budget: key.budget,
        expires_at: key.expires_at,
        is_enabled: key.enabled,
        metadata: key.metadata.clone(),
        ..FileKey::new(&key.name, &key.key, digester)
    }
}

/// This node's own view of the store, which a write waits for.
struct OwnView(Arc<Follower>);

impl Visibility for OwnView {
    fn wait_until_visible(&self, version: Version) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if self.0.wait_until_visible(version).await {
                return Ok(());
            }
            let problem = self.0.status().last_error.unwrap_or_else(|| "it has not been read in time".to_owned());
            Err(StoreError::Unavailable { source: problem.into() })
        })
    }
}
