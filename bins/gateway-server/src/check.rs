//! `gateway-server check`: would this configuration be served?

use std::io::{Write, stdout};

use anyhow::Context;
use gateway_config::{Config, LeftOut, Loaded, ProviderEndpoint, Settings, Sources};
use gateway_core::Gateway;
use gateway_keystore::StoredSettings;

use crate::ConfigSource;
use crate::commands::run_to_end;
use crate::serve::tls_files;
use crate::state::{check_redis, existing_backend};

/// Prints a summary of a good configuration, or fails with every error of a bad one. Providers and models of the store count,
/// as far as the store can be read.
pub(crate) fn run(source: ConfigSource) -> anyhow::Result<()> {
    let builder = Gateway::builder();
    let vocabulary = builder.vocabulary();
    let settings = Settings::read(&Sources::from_process(source.config))?;
    let mut loaded = settings.resolve(None, &vocabulary)?;
    match run_to_end(stored(&loaded.config))? {
        Ok(stored) => loaded = settings.resolve(Some(&stored), &vocabulary)?,
        Err(error) => loaded.warnings.push(format!("store: {error:#}; what it holds is not checked")),
    }
    let mut config = loaded.config.clone();
    for provider in &mut config.providers {
        // Checking starts nothing, so any address stands for the simulator's.
        if let ProviderEndpoint::Simulator { at } = &mut provider.endpoint {
            *at = Some(http::Uri::from_static("http://127.0.0.1/v1"));
        }
    }
    builder.build(&config)?;
    if let Some(tls) = tls_files(&config.server) {
        tls.check().context("server.tls")?;
    }
    if let Some(redis) = &config.redis {
        check_redis(redis)?;
    }
    // Whoever reads the summary may have read enough of it.
    let _ = writeln!(stdout(), "{}", summary(&loaded));
    Ok(())
}

/// What the store adds; nothing if there is none. Makes no store and changes nothing in one.
async fn stored(config: &Config) -> anyhow::Result<StoredSettings> {
    let Some(backend) = existing_backend(config)? else { return Ok(StoredSettings::default()) };
    let (found, known) = (backend.version().await?, backend.known_version());
    if found != known {
        anyhow::bail!(
            "its tables have version {found}, this program knows {known}; `gateway-server migrate up` brings them up to date"
        );
    }
    let changes = backend.changes(None).await?;
    backend.close().await;
    Ok(changes.settings.unwrap_or_default())
}

fn summary(loaded: &Loaded) -> String {
    let left_out = loaded.left_out.iter().map(LeftOut::to_string);
    std::iter::once(loaded.summary()).chain(left_out.map(|it| format!("warning: {it}"))).collect::<Vec<_>>().join("\n")
}
