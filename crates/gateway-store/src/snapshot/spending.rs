//! What was spent, in a snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gateway_ratelimit::{BudgetWindow, NanoUsd, Spend};

use super::line::{Line, SpentLine};

/// Whose budget, and when.
pub(super) type Window = (Arc<str>, BudgetWindow);

/// What was spent in a window, in billionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) recorded: u64,
    pub(super) unrecorded: u64,
}

/// Notes what is recorded in the store of what was spent, where that is known, and everything that is not recorded, if that
/// is. Returns the lines that say what is new.
pub(super) fn note(sums: &mut BTreeMap<Window, Sums>, recorded: &[Spend], unrecorded: Option<&[Spend]>) -> Vec<Line> {
    let mut changed = BTreeSet::new();
    for total in recorded {
        let window = (Arc::clone(&total.account), total.window);
        let noted = sums.entry(window.clone()).or_default();
        if std::mem::replace(&mut noted.recorded, total.amount.0) != total.amount.0 {
            changed.insert(window);
        }
    }
    if let Some(unrecorded) = unrecorded {
        let mut amounts = HashMap::<Window, u64>::new();
        for spend in unrecorded {
            let sum = amounts.entry((Arc::clone(&spend.account), spend.window)).or_default();
            *sum = sum.saturating_add(spend.amount.0);
        }
        for window in amounts.keys() {
            sums.entry(window.clone()).or_default();
        }
        for (window, noted) in &mut *sums {
            let amount = amounts.get(window).copied().unwrap_or_default();
            if std::mem::replace(&mut noted.unrecorded, amount) != amount {
                changed.insert(window.clone());
            }
        }
    }
    changed.iter().map(|window| spent_line(window, sums[window])).collect()
}

pub(super) fn spent_line((account, window): &Window, sums: Sums) -> Line {
    Line::Spent(SpentLine::new(account, *window, sums.recorded, sums.unrecorded))
}

pub(super) fn spends(sums: &BTreeMap<Window, Sums>, amount: impl Fn(&Sums) -> u64) -> Vec<Spend> {
    let spends = sums.iter().map(|((account, window), sums)| (Arc::clone(account), *window, amount(sums)));
    let spends = spends.filter(|(.., amount)| *amount > 0);
    spends.map(|(account, window, amount)| Spend { account, window, amount: NanoUsd(amount) }).collect()
}
