//! The Admin API of this process: over its store, its reloader and its gateway.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_admin::{
    AdminService, ConfigVersion, Configuration, FileKey, MasterKeys, Parts, Reloaded, StoredEntries, UsageReports,
    Visibility,
};
use gateway_config::{Config, ConfigErrors, KeyMaterial, LeftOut, MasterKey};
use gateway_core::Gateway;
use gateway_keystore::{Actor, Position, SettingsChange, StoreError, StoreFuture, Version};
use gateway_reload::{Cause, Reloader};
use gateway_secret::KeyDigester;
use gateway_store::{Backend, Follower, UsageWriter};

use crate::probe::Probes;
use crate::state::Stored;

/// The Admin API of a gateway and its store. Without an admin key it lets nobody in, and says so.
pub(crate) fn service(gateway: &Gateway, reloader: &Reloader, stored: Option<&Stored>) -> AdminService {
    let configuration: Arc<dyn Configuration> =
        Arc::new(InForce { gateway: gateway.clone(), reloader: reloader.clone() });
    let digester = gateway.config().store.digester();
    let (keys, entries) = match stored {
        None => (MasterKeys::without_store(digester.clone()), StoredEntries::without_store(Arc::clone(&configuration))),
        Some(stored) => {
            let view = Arc::new(OwnView(Arc::clone(&stored.follower)));
            let keys = MasterKeys::new(Arc::<dyn Backend>::clone(&stored.backend), digester.clone(), Actor::Admin);
            let backend = Arc::<dyn Backend>::clone(&stored.backend);
            let entries = StoredEntries::new(backend, Arc::clone(&configuration), Actor::Admin);
            (keys.with_visibility(Arc::<OwnView>::clone(&view)), entries.with_visibility(view))
        }
    };
    let listing = gateway.clone();
    let listed = move || listing.config().master_keys.iter().map(|key| file_key(key, &digester)).collect();
    let keys = keys.with_file_keys(listed);
    let usage = stored.map_or_else(UsageReports::without_store, |stored| {
        let reports = UsageReports::new(Arc::<dyn Backend>::clone(&stored.backend));
        reports.with_flush(Arc::<UsageWriter>::clone(&stored.usage))
    });
    AdminService::new(Parts { configuration, keys, entries, usage, prober: Arc::new(Probes::new(gateway.clone())) })
}

/// A key of the file, as administrators see it.
pub(crate) fn file_key(key: &MasterKey, digester: &KeyDigester) -> FileKey {
    let listed = match &key.key {
        KeyMaterial::Plain(secret) => FileKey::new(&key.name, secret, digester),
        KeyMaterial::Digest { digest, preview } => FileKey::from_digest(&key.name, *digest, preview.clone()),
    };
    FileKey {
        allowed_models: key.allowed_models.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        rate_limit: key.rate_limit.clone(),
        budget: key.budget,
        expires_at: key.expires_at,
        is_enabled: key.enabled,
        metadata: key.metadata.clone(),
        ..listed
    }
}

/// The configuration that this process serves.
struct InForce {
    gateway: Gateway,
    reloader: Reloader,
}

impl Configuration for InForce {
    fn config(&self) -> Arc<Config> {
        self.gateway.config()
    }

    fn left_out(&self) -> Vec<LeftOut> {
        self.reloader.status().left_out
    }

    fn version(&self) -> ConfigVersion {
        let status = self.reloader.status();
        ConfigVersion {
            version: status.version,
            source: status.source.to_owned(),
            loaded_at: status.loaded_at,
            last_error: status.last_error.map(|errors| errors.to_string()),
        }
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ConfigErrors>> {
        Box::pin(async {
            let gateway_reload::Reloaded { version, difference, warnings } =
                self.reloader.reload(Cause::Request).await?;
            Ok(Reloaded {
                version,
                added: difference.added,
                removed: difference.removed,
                changed: difference.changed,
                needs_restart: difference.needs_restart,
                warnings,
            })
        })
    }

    fn check<'a>(&'a self, change: &'a SettingsChange) -> BoxFuture<'a, Result<(), ConfigErrors>> {
        Box::pin(self.reloader.check(change.clone()))
    }
}

/// This node's own view of the store, which a write waits for.
struct OwnView(Arc<Follower>);

impl Visibility for OwnView {
    fn wait_until_visible(&self, version: Version) -> StoreFuture<'_, ()> {
        Box::pin(async move { if self.0.wait_until_visible(version).await { Ok(()) } else { Err(self.not_read()) } })
    }

    fn position(&self) -> Option<Position> {
        Some(self.0.status().position)
    }

    fn wait_until_not_at<'a>(&'a self, position: &'a Position) -> StoreFuture<'a, ()> {
        Box::pin(async move { if self.0.wait_until_not_at(position).await { Ok(()) } else { Err(self.not_read()) } })
    }
}

impl OwnView {
    fn not_read(&self) -> StoreError {
        let problem = self.0.status().last_error.unwrap_or_else(|| "it has not been read in time".to_owned());
        StoreError::Unavailable { source: problem.into() }
    }
}
