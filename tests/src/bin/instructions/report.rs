//! What was counted beside what was expected, as a table and a verdict.

use std::fmt;

use serde_json::{Map, Value};

use crate::baseline::{Baseline, Expected};
use crate::callgrind::Part;
use crate::run::Row;
use crate::toolchain::toolchain;

/// How far a row may be from its baseline, in percent: what is more has a cause in the code.
const TOLERATED: u64 = 3;

/// How many more allocations there may be: half of one, which an average may be off by.
const TOLERATED_ALLOCATIONS: f64 = 0.5;

/// What was counted for a row, for one of what it is about.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// Instructions on the path.
    pub(crate) instructions: u64,
    /// Allocations on the path, on average and to one decimal.
    pub(crate) allocations: f64,
    /// Instructions in threads beside the path, where there are any. They depend on when those get their turn, so they are
    /// told and not compared.
    pub(crate) behind: Option<u64>,
}

impl Figure {
    /// What a part of a run says of a row.
    pub(crate) fn new(row: &Row, part: &Part) -> Self {
        let count = u64::from(row.times) * u64::from(row.each);
        let instructions = (part.instructions + count / 2) / count;
        Self { name: row.name.clone(), instructions, allocations: tenths(part.allocations, count), behind: None }
    }

    /// What one takes of the `count` that `more` has and this has not, under this one's name.
    pub(crate) fn missing(self, more: &Self, count: u32) -> Self {
        let allocations = (more.allocations - self.allocations).max(0.0) / f64::from(count);
        let instructions = more.instructions.saturating_sub(self.instructions) / u64::from(count);
        Self { instructions, allocations: (allocations * 10.0).round() / 10.0, ..self }
    }
}

fn tenths(total: u64, count: u64) -> f64 {
    (real(total) * 10.0 / real(count)).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^52 instructions")]
fn real(count: u64) -> f64 {
    count as f64
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    AsExpected,
    Rose,
    /// It takes no more, and asks for memory more often.
    Allocates,
    Fell,
    /// The baseline does not have it.
    IsNew,
}

impl Verdict {
    fn of(figure: &Figure, expected: Option<Expected>) -> Self {
        let Some(expected) = expected else { return Self::IsNew };
        let (percent, whole) = (figure.instructions * 100, expected.instructions);
        if percent > whole * (100 + TOLERATED) {
            Self::Rose
        } else if figure.allocations > expected.allocations + TOLERATED_ALLOCATIONS {
            Self::Allocates
        } else if percent < whole * (100 - TOLERATED) {
            Self::Fell
        } else {
            Self::AsExpected
        }
    }
}

/// By which part of the baseline a row has changed.
fn change(figure: &Figure, expected: Expected) -> f64 {
    real(figure.instructions) / real(expected.instructions.max(1)) - 1.0
}

/// All rows, and what to make of them.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<(Figure, Option<Expected>, Verdict)>,
    /// Rows of the baseline that are no longer counted.
    gone: Vec<String>,
    /// What the baseline was counted with, and what this was, where the two differ.
    differences: Vec<String>,
}

impl Report {
    /// Compares.
    pub(crate) fn new(figures: Vec<Figure>, baseline: Baseline) -> Self {
        let Baseline { counted_with, mut rows } = baseline;
        let judged = figures.into_iter().map(|figure| {
            let expected = rows.remove(&figure.name);
            let verdict = Verdict::of(&figure, expected);
            (figure, expected, verdict)
        });
        let judged = judged.collect();
        Self { rows: judged, gone: rows.into_keys().collect(), differences: differences(&counted_with, &toolchain()) }
    }

    /// Whether no row takes more than it may, and the baseline has the rows that there are.
    pub(crate) fn is_passed(&self) -> bool {
        let mut verdicts = self.rows.iter().map(|(.., verdict)| verdict);
        self.gone.is_empty() && verdicts.all(|verdict| matches!(verdict, Verdict::AsExpected | Verdict::Fell))
    }

    fn named(&self, wanted: Verdict) -> Vec<&str> {
        let rows = self.rows.iter().filter(|(.., verdict)| *verdict == wanted);
        rows.map(|(figure, ..)| &*figure.name).collect()
    }

    /// What is to be done, a paragraph for each verdict.
    fn advice(&self) -> Vec<String> {
        let gone: Vec<&str> = self.gone.iter().map(String::as_str).collect();
        let paragraphs = [
            (self.named(Verdict::Rose), "FAILED: more than 3% above the baseline", REMEDY),
            (self.named(Verdict::Allocates), "FAILED: asks for memory more often", REMEDY),
            (self.named(Verdict::IsNew), "FAILED: not in the baseline", "`just bench-micro --save` adds it."),
            (gone, "FAILED: in the baseline and no longer counted", "`just bench-micro --save` takes it out."),
            (
                self.named(Verdict::Fell),
                "More than 3% below the baseline",
                "`just bench-micro --save` has it stay there; until then it may rise again unnoticed.",
            ),
        ];
        let paragraphs = paragraphs.into_iter().filter(|(names, ..)| !names.is_empty());
        paragraphs.map(|(names, what, remedy)| format!("{what}: {}\n  {remedy}", names.join("; "))).collect()
    }
}

const REMEDY: &str = "Find out why: `just bench-micro --only ROW --keep FOLDER`, then `callgrind_annotate` on the parts in FOLDER, before \
    and after. If it is worth it, `just bench-micro --save` writes a new baseline, and the reason belongs in the commit.";

/// The facts that are not the same, unless nothing is known of the baseline.
fn differences(then: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let differing = then.iter().filter(|(name, fact)| now.get(*name) != Some(*fact));
    let note = |(name, fact): (&String, &Value)| {
        let today = now.get(name).unwrap_or(&Value::Null);
        format!("NOTE: the {name} is {today}, and {fact} in the baseline, so differences may be its doing.")
    };
    differing.map(note).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const COLUMNS: [&str; 5] = ["instructions", "baseline", "change", "allocations", "beside it"];
        write!(f, "| {:<46} |", "of one")?;
        COLUMNS.iter().try_for_each(|column| write!(f, " {column:>12} |"))?;
        writeln!(f, "\n|{:-<48}|{}", "", "-------------:|".repeat(COLUMNS.len()))?;
        for (figure, expected, _) in &self.rows {
            let change = expected.map(|expected| format!("{:+.1} %", change(figure, expected) * 100.0));
            let cells = [
                grouped(figure.instructions),
                expected.map(|expected| grouped(expected.instructions)).unwrap_or_default(),
                change.unwrap_or_default(),
                figure.allocations.to_string(),
                figure.behind.map(grouped).unwrap_or_default(),
            ];
            write!(f, "| {:<46} |", figure.name)?;
            cells.iter().try_for_each(|cell| write!(f, " {cell:>12} |"))?;
            writeln!(f)?;
        }
        self.differences.iter().chain(&self.advice()).try_for_each(|line| write!(f, "\n{line}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, instructions: u64, allocations: f64) -> Figure {
        Figure { name: name.to_owned(), instructions, allocations, behind: None }
    }

    fn compared(figures: Vec<Figure>, rows: &[(&str, u64)]) -> Report {
        let expected = |(name, instructions): &(&str, u64)| {
            ((*name).to_owned(), Expected { instructions: *instructions, allocations: 2.0 })
        };
        Report::new(figures, Baseline { counted_with: Map::new(), rows: rows.iter().map(expected).collect() })
    }

    #[test]
    fn three_percent_are_tolerated_and_not_more() {
        let report = |instructions| compared(vec![figure("a", instructions, 2.0)], &[("a", 10_000)]);
        assert!(report(10_300).is_passed());
        assert!(!report(10_301).is_passed());
        assert!(report(10_301).to_string().contains("FAILED: more than 3% above the baseline: a\n"));
        assert!(report(5_000).is_passed());
        assert!(report(5_000).to_string().contains("More than 3% below the baseline: a\n"));
        assert!(!report(9_800).to_string().contains("baseline:"));
    }

    #[test]
    fn one_allocation_more_fails() {
        assert!(compared(vec![figure("a", 10_000, 2.4)], &[("a", 10_000)]).is_passed());
        let report = compared(vec![figure("a", 10_000, 3.0)], &[("a", 10_000)]);
        assert!(!report.is_passed() && report.to_string().contains("asks for memory more often: a\n"));
    }

    #[test]
    fn rows_and_baseline_have_to_match() {
        let report = compared(vec![figure("a", 1, 2.0), figure("b", 1, 2.0)], &[("a", 1)]);
        assert!(!report.is_passed() && report.to_string().contains("not in the baseline: b\n"));
        let report = compared(vec![figure("a", 1, 2.0)], &[("a", 1), ("c", 1)]);
        assert!(!report.is_passed() && report.to_string().contains("no longer counted: c\n"));
    }

    #[test]
    fn another_compiler_is_told_of() {
        let facts = |compiler: &str| Map::from_iter([("compiler".to_owned(), compiler.into())]);
        assert_eq!(differences(&facts("1"), &facts("1")), Vec::<String>::new());
        assert_eq!(differences(&facts("1"), &facts("2")).len(), 1);
    }

    #[test]
    fn a_frame_is_a_part_of_the_difference_of_streams() {
        let frame = figure("32", 64_500, 68.0).missing(&figure("64", 96_500, 100.0), 32);
        assert_eq!((frame.instructions, frame.allocations), (1_000, 1.0));
    }
}
