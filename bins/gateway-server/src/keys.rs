//! `gateway-server keys`: callers' keys from the shell, on the store itself and by the rules of the Admin API.
//!
//! Nodes that are running follow the store, so a change made here takes effect on them within a second.

use std::io::{IsTerminal, Write, stderr, stdin, stdout};

use anyhow::{Context, bail};
use gateway_admin::{CreateKey, Issued, KeyView, MasterKeys, RotateKey};
use gateway_keystore::Actor;
use gateway_ratelimit::{BudgetPeriod, RateLimit, UsdBudget};
use gateway_secret::Secret;
use serde_json::{Map, Value};

use crate::ConfigSource;
use crate::administration::file_key;
use crate::commands::run_to_end;
use crate::state::{is_not_made_yet, required_backend};
use table::Table;

pub(crate) mod table;

/// What is done with keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create a key and print it, this once
    Create(Box<Create>),
    /// List all keys, those of the configuration file included
    List(List),
    /// Replace a key by a new one and print that, this once
    Rotate(Rotate),
    /// Revoke a key: it is refused from now on
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What people and logs call it
    #[arg(long)]
    name: String,
    /// Its identifier [default: one is made]
    #[arg(long)]
    id: Option<String>,
    /// Read the key itself from standard input, rather than have one made
    #[arg(long)]
    key_stdin: bool,
    /// A model that it may use, or a pattern such as `gpt-*`; may be repeated [default: all]
    #[arg(long = "allowed-model", value_name = "PATTERN")]
    allowed_models: Vec<String>,
    #[command(flatten)]
    limits: Limits,
    /// When it stops working, such as 2030-01-31T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Create it disabled
    #[arg(long)]
    disabled: bool,
    /// Notes of your own, a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    source: ConfigSource,
}

/// What a key may spend; 0 blocks.
#[derive(Debug, clap::Args)]
struct Limits {
    /// Requests a second
    #[arg(long, value_name = "N")]
    requests_per_second: Option<u64>,
    /// How many of them may come at once [default: as many as in a second]
    #[arg(long, value_name = "N")]
    burst_size: Option<u64>,
    /// Requests a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u64>,
    /// Tokens a minute, of prompts and answers together
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u64>,
    /// Calls at once
    #[arg(long, value_name = "N")]
    max_concurrent: Option<u32>,
    /// Requests in `--period-seconds`
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The period of `--limit` [default: 60]
    #[arg(long, value_name = "N")]
    period_seconds: Option<u32>,
    /// How much money it may spend, in US dollars
    #[arg(long, value_name = "USD", requires = "budget_period")]
    budget_usd: Option<f64>,
    /// How long the budget lasts: a day or a month in UTC, or for good
    #[arg(long, value_name = "PERIOD", requires = "budget_usd")]
    budget_period: Option<BudgetPeriod>,
}

#[derive(Debug, clap::Args)]
struct Output {
    /// Print JSON; keys look as the Admin API shows them
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    source: ConfigSource,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rotate {
    /// The key's identifier
    id: String,
    /// For how long the present key stays good as well, in seconds [default: 0]
    #[arg(long, value_name = "SECONDS")]
    overlap_secs: Option<u64>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    source: ConfigSource,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The key's identifier
    id: String,
    #[command(flatten)]
    source: ConfigSource,
}

/// Does what was asked, on the store of the configuration.
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    run_to_end(async {
        match command {
            Command::Create(create) => {
                let keys = open(create.source.clone(), true).await?;
                let is_json = create.output.json;
                print_issued(&keys.create(create.request()?).await?, is_json)
            }
            Command::List(list) => print_list(&all(&open(list.source, false).await?).await?, list.output.json),
            Command::Rotate(rotate) => {
                let keys = open(rotate.source, false).await?;
                let issued = keys.rotate(&rotate.id, RotateKey { overlap_secs: rotate.overlap_secs }).await?;
                print_issued(&issued, rotate.output.json)
            }
            Command::Revoke(revoke) => {
                open(revoke.source, false).await?.remove(&revoke.id).await?;
                print(&format!("revoked {}\n", revoke.id))
            }
        }
    })?
}

/// The keys of a configuration's store, which is brought up to date first, and made if it may be.
async fn open(source: ConfigSource, may_make: bool) -> anyhow::Result<MasterKeys> {
    let config = source.load()?;
    let digester = config.store.digester();
    let file_keys: Vec<_> = config.master_keys.iter().map(|key| file_key(key, &digester)).collect();
    let keys = if !may_make && is_not_made_yet(&config) {
        MasterKeys::without_store(digester)
    } else {
        let backend = required_backend(&config, may_make)?;
        backend.migrate_up().await?;
        MasterKeys::new(backend, digester, Actor::Cli)
    };
    Ok(keys.with_file_keys(move || file_keys.clone()))
}

/// How many keys are read at once.
const PAGE: u32 = 1000;

async fn all(keys: &MasterKeys) -> anyhow::Result<Vec<KeyView>> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let page = keys.list(next.as_ref(), PAGE).await?;
        found.extend(page.keys);
        next = page.next;
        if next.is_none() {
            return Ok(found);
        }
    }
}

impl Create {
    fn request(self) -> anyhow::Result<CreateKey> {
        let metadata = self.metadata.map(|text| serde_json::from_str::<Map<String, Value>>(&text));
        Ok(CreateKey {
            id: self.id,
            key: if self.key_stdin { Some(read_key()?) } else { None },
            name: Some(self.name),
            allowed_models: Some(self.allowed_models).filter(|patterns| !patterns.is_empty()),
            budget: self.limits.budget(),
            rate_limit: Some(self.limits.into()),
            expires_at: self.expires_at,
            is_enabled: Some(!self.disabled),
            metadata: metadata.transpose().context("--metadata is no JSON object")?,
        })
    }
}

impl Limits {
    /// clap has seen to it that there are both or neither.
    fn budget(&self) -> Option<UsdBudget> {
        Some(UsdBudget { usd: self.budget_usd?, period: self.budget_period? })
    }
}

impl From<Limits> for RateLimit {
    fn from(limits: Limits) -> Self {
        Self {
            requests_per_second: limits.requests_per_second,
            burst_size: limits.burst_size,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            max_concurrent: limits.max_concurrent,
            limit: limits.limit,
            period_seconds: limits.period_seconds,
        }
    }
}

/// A key from standard input: not from the arguments, which every user of the machine can see.
fn read_key() -> anyhow::Result<Secret> {
    if stdin().is_terminal() {
        // Whether anybody reads it makes no difference.
        let _ = writeln!(stderr(), "type the key and press enter:");
    }
    let mut line = String::new();
    stdin().read_line(&mut line).context("standard input cannot be read")?;
    let key = Secret::from(line);
    let text = key.expose().trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        bail!("there is no key on standard input");
    }
    Ok(Secret::from(text))
}

fn print_issued(issued: &Issued, is_json: bool) -> anyhow::Result<()> {
    if issued.view.weak {
        let _ = writeln!(stderr(), "warning: the key is short; use 16 random characters or more");
    }
    if is_json {
        return print(&(serde_json::to_string_pretty(&issued.with_secret())? + "\n"));
    }
    let Issued { key, view } = issued;
    print(&format!("id    {}\nname  {}\nkey   {}\n", view.id, view.name, key.expose()))?;
    let _ = writeln!(stderr(), "The key is shown this once; the store keeps only its digest.");
    Ok(())
}

fn print_list(keys: &[KeyView], is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print(&(serde_json::to_string_pretty(keys)? + "\n"));
    }
    print(&Table::of(keys).to_string())
}

/// To standard output, all of it or an error: what is not seen here is not seen anywhere.
fn print(text: &str) -> anyhow::Result<()> {
    let mut output = stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("standard output cannot be written")
}
