//! Budgets: how long, how wide and how large things may get before they have to be divided.
//!
//! Tests are not counted; lines of documentation are. The numbers are what well-kept projects of this kind stay within.

use crate::assert_none;
use crate::source::Source;
use crate::workspace::{Member, members};

const LONGEST_FILE: usize = 600;
const MEDIAN_FILE: usize = 150;
const LONGEST_FUNCTION: usize = 80;
/// What nine functions in ten stay within.
const TYPICAL_FUNCTION: usize = 30;
const MOST_PARAMETERS: usize = 5;
const MOST_METHODS: usize = 6;
/// A crate's share of all lines, in percent.
const LARGEST_SHARE: usize = 25;

fn sources() -> Vec<Source> {
    let sources: Vec<_> = members().iter().flat_map(Member::sources).filter(|source| source.lines > 0).collect();
    assert!(sources.len() > 50, "found only {} files", sources.len());
    sources
}

/// The value below which `percent` of all values are, or at which they end.
fn quantile(mut values: Vec<usize>, percent: usize) -> usize {
    values.sort_unstable();
    values[(values.len() - 1) * percent / 100]
}

#[test]
fn files_are_short() {
    let sources = sources();
    let long = sources.iter().filter(|source| source.lines > LONGEST_FILE);
    let found: Vec<_> =
        long.map(|it| format!("{}: {} lines; divide it by what it decides", it.path, it.lines)).collect();
    assert_none("a file has at most 600 lines without its tests:", &found);
    let median = quantile(sources.iter().map(|source| source.lines).collect(), 50);
    assert!(median <= MEDIAN_FILE, "half of all files should be within {MEDIAN_FILE} lines; the median is {median}");
}

#[test]
fn functions_are_short_and_narrow() {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for source in sources() {
        for function in source.functions() {
            let place = format!("{}:{}: `{}`", source.path, function.line, function.name);
            if function.lines > LONGEST_FUNCTION {
                found.push(format!("{place} has {} lines; name its steps", function.lines));
            }
            if function.parameters > MOST_PARAMETERS {
                found.push(format!("{place} takes {} parameters; find the type that they are", function.parameters));
            }
            lengths.push(function.lines);
        }
    }
    assert_none("a function has at most 80 lines and 5 parameters:", &found);
    let typical = quantile(lengths, 90);
    assert!(
        typical <= TYPICAL_FUNCTION,
        "nine functions in ten should be within {TYPICAL_FUNCTION} lines; the ninth has {typical}"
    );
}

#[test]
fn traits_are_small() {
    let mut found = Vec::new();
    for source in sources() {
        let large = source.traits().into_iter().filter(|it| it.methods > MOST_METHODS);
        found.extend(large.map(|it| {
            format!("{}:{}: `{}` has {} methods; is it two traits?", source.path, it.line, it.name, it.methods)
        }));
    }
    assert_none("a trait has at most 6 methods:", &found);
}

#[test]
fn no_crate_holds_most_of_the_code() {
    let members = members();
    let lines = |member: &Member| member.sources().iter().map(|source| source.lines).sum::<usize>();
    let counted: Vec<_> = members.iter().map(|member| (member.name.clone(), lines(member))).collect();
    let all: usize = counted.iter().map(|(_, lines)| lines).sum();
    let large = counted.iter().filter(|(_, lines)| lines * 100 > all * LARGEST_SHARE);
    let found: Vec<_> = large
        .map(|(name, lines)| format!("{name}: {lines} of {all} lines; something in it is a crate of its own"))
        .collect();
    assert_none("a crate holds at most a quarter of all lines:", &found);
}

#[test]
fn a_quantile_is_a_value_of_the_list() {
    assert_eq!(quantile(vec![5, 1, 4, 2, 3], 50), 3);
    assert_eq!(quantile((1..=10).collect(), 90), 9);
    assert_eq!(quantile(vec![7], 90), 7);
}
