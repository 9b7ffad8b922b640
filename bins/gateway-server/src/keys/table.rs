//! Keys as a table.

use std::fmt;

use gateway_admin::{KeySource, KeyView};
use gateway_ratelimit::{BudgetPeriod, RateLimit, UsdBudget};

const COLUMNS: usize = 9;
const HEADINGS: [&str; COLUMNS] = ["ID", "NAME", "KEY", "STATE", "LIMITS", "BUDGET", "EXPIRES", "LAST USED", "SOURCE"];

/// Rows under headings, each column as wide as its widest cell.
pub(crate) struct Table {
    rows: Vec<[String; COLUMNS]>,
}

impl Table {
    pub(crate) fn of(keys: &[KeyView]) -> Self {
        let headings = HEADINGS.map(str::to_owned);
        Self { rows: std::iter::once(headings).chain(keys.iter().map(row)).collect() }
    }
}

fn row(key: &KeyView) -> [String; COLUMNS] {
    let time = |time: &Option<String>| time.as_deref().map_or("-".to_owned(), to_seconds);
    let source = match key.source {
        KeySource::Store => "store",
        KeySource::File => "file",
    };
    [
        key.id.clone(),
        key.name.clone(),
        key.key_preview.clone(),
        if key.is_enabled { "enabled" } else { "disabled" }.to_owned(),
        key.rate_limit.as_ref().map_or("-".to_owned(), limits),
        key.budget.map_or("-".to_owned(), budget),
        time(&key.expires_at),
        time(&key.last_used_at),
        source.to_owned(),
    ]
    .map(|cell| printable(&cell))
}

/// A time without the fraction of its second.
fn to_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

fn limits(limit: &RateLimit) -> String {
    let period = limit.period_seconds.unwrap_or(60);
    let parts = [
        limit.requests_per_second.map(|count| format!("{count}/s")),
        limit.burst_size.map(|count| format!("burst {count}")),
        limit.requests_per_minute.map(|count| format!("{count}/min")),
        limit.limit.map(|count| format!("{count}/{period}s")),
        limit.tokens_per_minute.map(|count| format!("{count} tokens/min")),
        limit.max_concurrent.map(|count| format!("{count} at once")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn budget(UsdBudget { usd, period }: UsdBudget) -> String {
    match period {
        BudgetPeriod::Total => format!("${usd}"),
        _ => format!("${usd}/{period}"),
    }
}

/// Rows that were made by hand may hold anything, and a terminal obeys control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeyView {
        KeyView {
            id: "key_1".to_owned(),
            name: "Übung\u{1b}[2J".to_owned(),
            key_preview: "sk-gw-AbC…xyz".to_owned(),
            allowed_models: Vec::new(),
            rate_limit: None,
            budget: None,
            expires_at: None,
            is_enabled: true,
            metadata: serde_json::Value::Null,
            created_at: None,
            updated_at: None,
            last_used_at: Some("2030-01-01T00:00:00.123456Z".to_owned()),
            previous_key_expires_at: None,
            source: KeySource::Store,
            weak: false,
        }
    }

    #[test]
    fn columns_are_aligned_and_control_characters_gone() {
        let limit =
            RateLimit { requests_per_second: Some(5), burst_size: Some(9), limit: Some(1), ..RateLimit::default() };
        let limited = KeyView {
            id: "a".to_owned(),
            name: "b".to_owned(),
            is_enabled: false,
            rate_limit: Some(limit),
            budget: Some(UsdBudget { usd: 2.5, period: BudgetPeriod::Month }),
            expires_at: Some("2031-01-01T00:00:00Z".to_owned()),
            last_used_at: None,
            source: KeySource::File,
            ..key()
        };
        let expected = "\
ID     NAME       KEY            STATE     LIMITS               BUDGET      EXPIRES               LAST USED             SOURCE
key_1  Übung\u{fffd}[2J  sk-gw-AbC…xyz  enabled   -                    -           -                     2030-01-01T00:00:00Z  store
a      b          sk-gw-AbC…xyz  disabled  5/s, burst 9, 1/60s  $2.5/month  2031-01-01T00:00:00Z  -                     file
";
        assert_eq!(Table::of(&[key(), limited]).to_string(), expected);
    }
}
