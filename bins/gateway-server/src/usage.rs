//! `gateway-server usage`: what calls took, from the store and by the rules of the Admin API.
//!
//! Nodes that are running write what they have counted every few seconds, so what was called last may not be among it.

use std::fmt;
use std::io::{self, BufWriter, Write, stdout};
use std::sync::Arc;

use anyhow::{Context, bail};
use gateway_admin::{UsageDimension, UsageFigures, UsageReport, UsageReports, UsageRequest, UsageRow};
use gateway_store::Backend;

use crate::ConfigSource;
use crate::commands::run_to_end;
use crate::keys::table::printable;
use crate::state::required_backend;

/// How many rows are read at once: so many that few reports have more, and few enough for some tens of megabytes.
const PAGE: u32 = 100_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// When it begins, such as 2030-01-31 or 2030-01-31T12:00:00Z [default: 24 hours before it ends]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// When it ends; of a date, all of the day counts [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// What is told apart: some of key, model, provider, hour and day, with commas between [default: key,model,provider]
    #[arg(long, value_name = "LIST")]
    group_by: Option<String>,
    /// Print JSON, as the Admin API shows it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: ConfigSource,
}

/// Prints what the store of the configuration knows. Makes no store and changes nothing in one.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let Options { from, to, group_by, json, source } = options;
    let config = source.load()?;
    let report = run_to_end(async {
        let backend = required_backend(&config, false)?;
        let report = whole(&backend, UsageRequest { from, to, group_by }).await;
        backend.close().await;
        report
    })??;
    print(&report, json, &mut BufWriter::new(stdout().lock())).context("standard output cannot be written")
}

fn print(report: &UsageReport, json: bool, output: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *output, report)?;
        writeln!(output)?;
    } else {
        write!(output, "{}", Table::of(report))?;
    }
    output.flush()
}

/// All pages as one.
async fn whole(backend: &Arc<dyn Backend>, mut request: UsageRequest) -> anyhow::Result<UsageReport> {
    let (found, known) = (backend.version().await?, backend.known_version());
    if found != known {
        bail!(
            "the tables of the store have version {found}, this program knows {known}; `gateway-server migrate up` brings \
             them up to date"
        );
    }
    let reports = UsageReports::new(Arc::<dyn Backend>::clone(backend));
    let mut whole = reports.report(&request, None, PAGE).await?;
    // What is now does not move on from page to page.
    (request.from, request.to) = (Some(whole.from.to_string()), Some(whole.to.to_string()));
    while let Some(next) = whole.next_cursor.take() {
        let page = reports.report(&request, Some(&next.parse()?), PAGE).await?;
        whole.data.extend(page.data);
        whole.next_cursor = page.next_cursor;
    }
    Ok(whole)
}

const FIGURES: usize = 7;
const HEADINGS: [&str; FIGURES] = ["REQUESTS", "ERRORS", "ESTIMATED", "PROMPT", "COMPLETION", "CACHED", "COST USD"];

/// Rows under headings, names to the left and numbers to the right, with the totals below.
struct Table {
    names: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn of(report: &UsageReport) -> Self {
        let names = report.group_by.len();
        let headings = report.group_by.iter().map(|dimension| heading(*dimension)).chain(HEADINGS);
        let rows = report.data.iter().map(|row| {
            let names = report.group_by.iter().map(|dimension| printable(&name(row, *dimension)));
            names.chain(figures(&row.figures)).collect()
        });
        let mut rows: Vec<Vec<_>> = std::iter::once(headings.map(str::to_owned).collect()).chain(rows).collect();
        if names > 0 {
            let total = std::iter::once("TOTAL".to_owned()).chain(vec![String::new(); names - 1]);
            rows.push(total.chain(figures(&report.totals.unwrap_or_default())).collect());
        }
        Self { names, rows }
    }
}

fn heading(dimension: UsageDimension) -> &'static str {
    match dimension {
        UsageDimension::Key => "KEY",
        UsageDimension::Model => "MODEL",
        UsageDimension::Provider => "PROVIDER",
        UsageDimension::Hour => "HOUR",
        UsageDimension::Day => "DAY",
    }
}

fn name(row: &UsageRow, dimension: UsageDimension) -> String {
    let name = match dimension {
        UsageDimension::Key => row.key.clone(),
        UsageDimension::Model => row.model.clone(),
        UsageDimension::Provider => row.provider.clone(),
        UsageDimension::Hour => row.hour.map(|hour| hour.to_string()),
        UsageDimension::Day => row.day.clone(),
    };
    name.unwrap_or_default()
}

fn figures(figures: &UsageFigures) -> [String; FIGURES] {
    let UsageFigures { requests, errors, estimated_requests, prompt_tokens, completion_tokens, cached_tokens, .. } =
        figures;
    let numbers = [requests, errors, estimated_requests, prompt_tokens, completion_tokens, cached_tokens];
    let [requests, errors, estimated, prompt, completion, cached] = numbers.map(u64::to_string);
    [requests, errors, estimated, prompt, completion, cached, figures.cost_usd.to_string()]
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.names + FIGURES).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column < self.names { format!("{cell:width$}") } else { format!("{cell:>width$}") }
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn report(group_by: &[UsageDimension]) -> UsageReport {
        let figures = |requests: u64, cost_usd| UsageFigures {
            requests,
            errors: 1,
            prompt_tokens: 1_234_567,
            cost_usd,
            ..UsageFigures::default()
        };
        let row = UsageRow {
            hour: Some(Timestamp::UNIX_EPOCH),
            day: Some("1970-01-01".to_owned()),
            key: Some("Übung\u{1b}[2J".to_owned()),
            model: Some("gpt-4o".to_owned()),
            provider: Some("main".to_owned()),
            figures: figures(7, 0.000_000_012),
        };
        UsageReport {
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
            group_by: group_by.to_vec(),
            data: vec![row],
            totals: Some(figures(12, 30.5)),
            is_current: true,
            next_cursor: None,
        }
    }

    #[test]
    fn names_stand_to_the_left_and_numbers_to_the_right() {
        use UsageDimension::{Hour, Key, Model, Provider};
        let expected = "\
KEY        MODEL   REQUESTS  ERRORS  ESTIMATED   PROMPT  COMPLETION  CACHED     COST USD
Übung\u{fffd}[2J  gpt-4o         7       1          0  1234567           0       0  0.000000012
TOTAL                    12       1          0  1234567           0       0         30.5
";
        assert_eq!(Table::of(&report(&[Key, Model])).to_string(), expected);
        let text = Table::of(&report(&[Hour, Provider])).to_string();
        assert!(text.contains("1970-01-01T00:00:00Z  main "), "{text}");
        assert_eq!(Table::of(&report(&[])).to_string().lines().count(), 2, "the one row is the total");
    }
}
