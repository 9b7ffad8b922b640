//! What came of it, as tables.

use std::fmt;

use clap::ValueEnum;

use crate::script::Script;

/// What a call takes, on average.
#[derive(Debug)]
pub(crate) struct PerCall {
    /// Instructions on its path.
    pub(crate) path: u64,
    /// Instructions in other threads.
    pub(crate) behind: u64,
    /// Allocations on its path.
    pub(crate) allocations: u64,
}

/// The figures of each row, by kind of call.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<(&'static str, Vec<PerCall>)>,
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>, name: &str, figure: fn(&PerCall) -> u64) -> fmt::Result {
        write!(f, "| {name:<36} |")?;
        for script in Script::value_variants() {
            write!(f, " {script:>10} |")?;
        }
        writeln!(f, "\n|{:-<38}|{}", "", "-----------:|".repeat(Script::value_variants().len()))?;
        for (name, figures) in &self.rows {
            write!(f, "| {name:<36} |")?;
            for per_call in figures {
                write!(f, " {:>10} |", grouped(figure(per_call)))?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table(f, "instructions a call, on its path", |it| it.path)?;
        self.table(f, "instructions a call, in other threads", |it| it.behind)?;
        self.table(f, "allocations a call, on its path", |it| it.allocations)
    }
}

/// A whole number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
