//! `gateway-server export`: the store as a configuration file.

use std::io::{Write, stderr, stdout};

use anyhow::Context;
use gateway_admin::Export;

use crate::ConfigSource;
use crate::commands::run_to_end;
use crate::state::required_backend;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print the credentials of providers in clear, rather than as references to variables of the environment
    #[arg(long)]
    with_secrets: bool,
    #[command(flatten)]
    source: ConfigSource,
}

/// Prints everything that the store holds as YAML: keys as digests.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let config = options.source.load()?;
    run_to_end(async {
        let backend = required_backend(&config, false)?;
        let stored = backend.changes(None).await;
        backend.close().await;
        let stored = stored?;
        let unreadable = stored.settings.iter().flat_map(|settings| &settings.unreadable);
        for row in unreadable {
            // Whoever reads the file does not want this in it.
            let _ = writeln!(stderr(), "warning: the {} `{}` is left out: {}", row.kind, row.name, row.problem);
        }
        let export = Export::new(&stored, options.with_secrets);
        for row in export.damaged() {
            let _ = writeln!(stderr(), "warning: the {} `{}` is left out: it is not a JSON object", row.kind, row.name);
        }
        let text = serde_saphyr::to_string(&export).context("YAML cannot be written")?;
        stdout().write_all(text.as_bytes()).context("standard output cannot be written")
    })?
}
