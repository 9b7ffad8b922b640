use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn days_and_months_are_those_of_utc() {
    use BudgetPeriod::{Day, Month, Total};
    for (period, moment, start, end) in [
        (Day, "2026-01-31T23:59:59.999999999Z", "2026-01-31T00:00:00Z", Some("2026-02-01T00:00:00Z")),
        (Day, "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", Some("2026-02-02T00:00:00Z")),
        (Day, "2026-02-01T00:30:00+01:00", "2026-01-31T00:00:00Z", Some("2026-02-01T00:00:00Z")),
        (Day, "1969-12-31T12:00:00Z", "1969-12-31T00:00:00Z", Some("1970-01-01T00:00:00Z")),
        (Month, "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", Some("2024-03-01T00:00:00Z")),
        (Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", Some("2027-01-01T00:00:00Z")),
        (Total, "2026-12-31T23:59:59Z", "1970-01-01T00:00:00Z", None),
    ] {
        let window = period.window(at(moment));
        assert_eq!(window, BudgetWindow { period, start: at(start) }, "{moment}");
        assert_eq!(window.end(), end.map(at), "{moment}");
    }
}

#[test]
fn the_calendar_has_ends() {
    for period in [BudgetPeriod::Day, BudgetPeriod::Month] {
        assert_eq!(period.window(Timestamp::MIN).start, Timestamp::MIN);
        assert_eq!(period.window(Timestamp::MAX).end(), None);
    }
}

#[test]
fn a_cost_is_rounded_up_once() {
    let price = Price::from_usd_per_million(0.15, 0.6).unwrap();
    assert_eq!(price, Price { input: 150_000, output: 600_000 });
    assert_eq!(price.cost(0, 0), NanoUsd(0));
    assert_eq!(price.cost(1_000_000, 1_000_000), NanoUsd(750_000_000));
    assert_eq!(Price { input: 1, output: 1 }.cost(500, 501), NanoUsd(2));
    assert_eq!(Price { input: 1, output: 0 }.cost(1, 0), NanoUsd(1));
    assert_eq!(Price { input: u64::MAX, output: u64::MAX }.cost(u64::MAX, u64::MAX), NanoUsd(u64::MAX));
}

#[test]
fn dollars_that_are_none_are_refused() {
    for usd in [-0.01, f64::NAN, f64::INFINITY, 1.1e9] {
        let error = Budget::from_usd(usd, BudgetPeriod::Day).unwrap_err();
        assert_eq!(error.to_string(), "usd: must be a number of dollars from 0 to 1000000000");
        assert_eq!(Price::from_usd_per_million(usd, 0.0).unwrap_err().field, "input");
        assert_eq!(Price::from_usd_per_million(0.0, usd).unwrap_err().field, "output");
    }
    assert_eq!(Budget::from_usd(1e9, BudgetPeriod::Day).map(|it| it.limit), Ok(NanoUsd(1_000_000_000_000_000_000)));
    assert_eq!(Budget::from_usd(0.0, BudgetPeriod::Day).map(|it| it.limit), Ok(NanoUsd(0)));
    // Rounded, it would block.
    let error = Budget::from_usd(4e-10, BudgetPeriod::Day).unwrap_err();
    assert_eq!(error.to_string(), "usd: must be 0, which blocks, or at least a billionth of a dollar");
    assert_eq!(Budget::from_usd(1e-9, BudgetPeriod::Day).map(|it| it.limit), Ok(NanoUsd(1)));
}

#[test]
fn periods_are_read_as_they_are_written() {
    for period in BudgetPeriod::ALL {
        assert_eq!(period.to_string().parse(), Ok(period));
    }
    let error = "Day".parse::<BudgetPeriod>().unwrap_err();
    assert_eq!(error.to_string(), "period: must be one of day, month, total");
}

#[test]
fn a_share_is_of_what_is_left() {
    let budget = Budget { limit: NanoUsd(1_000), period: BudgetPeriod::Month };
    for (nodes, spent, limit) in
        [(4, 0, 250), (4, 600, 700), (4, 999, 1_000), (4, 1_000, 1_000), (4, 2_000, 1_000), (0, 1, 1_000)]
    {
        assert_eq!(budget.share(nodes, NanoUsd(spent)).limit, NanoUsd(limit), "{nodes} nodes, {spent} spent");
    }
}

proptest! {
    #[test]
    fn windows_follow_each_other(second in -10_000_000_000_i64..100_000_000_000, is_month: bool) {
        let period = if is_month { BudgetPeriod::Month } else { BudgetPeriod::Day };
        let moment = Timestamp::from_second(second).unwrap();
        let window = period.window(moment);
        let end = window.end().unwrap();
        prop_assert!(window.start <= moment && moment < end);
        prop_assert_eq!(period.window(window.start), window);
        prop_assert_eq!(period.window(end), BudgetWindow { period, start: end });
    }

    #[test]
    fn dollars_come_back_as_they_were_written(cents in 0_u32..100_000_000) {
        let usd = f64::from(cents) / 100.0;
        let budget = Budget::from_usd(usd, BudgetPeriod::Total).unwrap();
        prop_assert_eq!(budget.limit, NanoUsd(u64::from(cents) * 10_000_000));
        prop_assert!((budget.usd() - usd).abs() < f64::EPSILON * usd.max(1.0));
    }
}
