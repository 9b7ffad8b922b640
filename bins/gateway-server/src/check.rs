//! `gateway-server check`: would this configuration be served?

use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::Context;
use gateway_config::{ProviderEndpoint, Sources, load};
use gateway_core::Gateway;

use crate::serve::tls_files;
use crate::state::check_redis;

/// Prints a summary of a good configuration, or fails with every error of a bad one.
pub(crate) fn run(path: Option<PathBuf>) -> anyhow::Result<()> {
    let builder = Gateway::builder();
    let loaded = load(&Sources::from_process(path), &builder.vocabulary())?;
    let mut config = loaded.config.clone();
    for provider in &mut config.providers {
        // Checking starts nothing, so any address stands for the simulator's.
        if provider.endpoint == ProviderEndpoint::Simulator {
            provider.endpoint = ProviderEndpoint::Base(http::Uri::from_static("http://127.0.0.1/v1"));
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
    let _ = writeln!(stdout(), "{}", loaded.summary());
    Ok(())
}
