//! `gateway-server reseal`: every stored credential sealed anew with the first key, so that the other keys can be taken away.

use std::io::{Write, stdout};

use anyhow::{Context, bail};
use gateway_admin::reseal;
use gateway_config::Config;
use gateway_keystore::{Actor, StoreError};
use jiff::Timestamp;

use crate::ConfigSource;
use crate::commands::run_to_end;
use crate::state::required_backend;

/// How often it is tried again when somebody has changed an entry meanwhile.
const MAX_TRIES: usize = 5;

/// Seals what the store of the configuration holds, in one transaction.
pub(crate) fn run(source: ConfigSource) -> anyhow::Result<()> {
    let config = source.load()?;
    if config.store.encryption_key.is_none() {
        bail!("there is nothing to seal with: set STORE_ENCRYPTION_KEY, for which `openssl rand -hex 32` makes a key");
    }
    run_to_end(seal(&config))?
}

async fn seal(config: &Config) -> anyhow::Result<()> {
    let backend = required_backend(config, false)?;
    backend.migrate_up().await?;
    for _ in 0..MAX_TRIES {
        let stored = backend.changes(None).await?;
        let plan = reseal(&stored, Actor::Cli, Timestamp::now());
        match backend.write_all_at(&stored.position, &plan.changes).await {
            Err(StoreError::Stale) => continue,
            Err(error) => bail!("nothing was sealed: {}", error.with_cause()),
            Ok(_) => {}
        }
        backend.close().await;
        for step in &plan.steps {
            writeln!(stdout(), "{step}").context("standard output cannot be written")?;
        }
        if stored.settings.is_some_and(|settings| !settings.unreadable.is_empty()) {
            bail!("some entries cannot be read; keep all keys until they are mended or deleted");
        }
        return Ok(());
    }
    bail!("nothing was sealed: entries are being changed all the time; try again")
}
