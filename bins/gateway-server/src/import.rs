//! `gateway-server import`: the providers, models and keys of a file into the store, by one transaction.

use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, bail};
use gateway_admin::Import;
use gateway_config::{Config, Settings, Sources};
use gateway_core::Gateway;
use gateway_keystore::{Actor, StoreError};
use gateway_secret::Secret;
use gateway_store::Backend;
use jiff::Timestamp;

use crate::ConfigSource;
use crate::administration::file_key;
use crate::commands::run_to_end;
use crate::state::required_backend;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The file to import
    file: PathBuf,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    source: ConfigSource,
}

/// Imports a file into the store of the configuration. What is there already as it is in the file is left alone.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let Options { file, dry_run, source } = options;
    let store = source.load()?;
    let settings = Settings::read(&Sources::from_process(Some(file)))?;
    run_to_end(async {
        let backend = required_backend(&store, true)?;
        backend.migrate_up().await?;
        let done = import(&settings, &store, backend.as_ref(), dry_run).await;
        backend.close().await;
        done
    })?
}

/// How often an import is planned anew because a gateway has changed providers or models in the meantime.
const MAX_TRIES: usize = 16;

async fn import(settings: &Settings, store: &Config, backend: &dyn Backend, dry_run: bool) -> anyhow::Result<()> {
    for _ in 0..MAX_TRIES {
        if let Some(lines) = try_import(settings, store, backend, dry_run).await? {
            return writeln!(stdout(), "{}", lines.join("\n")).context("standard output cannot be written");
        }
    }
    bail!("nothing was imported: providers and models are being changed all the time; try again")
}

/// Says what was done; `None` if nothing was, because what is stored has changed since it was looked at.
async fn try_import(
    settings: &Settings,
    store: &Config,
    backend: &dyn Backend,
    dry_run: bool,
) -> anyhow::Result<Option<Vec<String>>> {
    let now = Timestamp::now();
    let stored = backend.changes(None).await?;
    // What the file names may be in the store already.
    let resolved = settings.resolve(stored.settings.as_ref(), &Gateway::builder().vocabulary())?;
    let plan = gather(settings, &resolved.config, store, now)?.plan(&stored, Actor::Cli, now)?;
    let mut lines: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
    match (dry_run, plan.changes.len()) {
        (true, count) => lines.push(format!("{count} changes would be made")),
        (false, 0) => lines.push("nothing to change".to_owned()),
        (false, count) => match backend.write_all_at(&stored.position, &plan.changes).await {
            Ok(_) => lines.push(format!("{count} changes made")),
            Err(StoreError::Stale) => return Ok(None),
            Err(error) => bail!("nothing was imported: {}", error.with_cause()),
        },
    }
    Ok(Some(lines))
}

/// What the file holds. Keys are digested as the store does it, since that is where they are looked up.
fn gather(settings: &Settings, config: &Config, store: &Config, now: Timestamp) -> anyhow::Result<Import> {
    let mut import = Import::default();
    for entry in settings.written() {
        let text = Secret::from(serde_json::to_string(&entry).context("an entry cannot be written as JSON")?);
        import.entry(entry.kind, entry.name, &text, now)?;
    }
    let digester = store.store.digester();
    for key in &config.master_keys {
        import.key(file_key(key, &digester));
    }
    Ok(import)
}
