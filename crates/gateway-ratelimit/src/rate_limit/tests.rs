use super::*;
use crate::{BudgetPeriod, NanoUsd};

#[test]
fn every_field_becomes_its_limit() {
    let budget = Budget { limit: NanoUsd(7), period: BudgetPeriod::Month };
    let written = RateLimit {
        requests_per_second: Some(5),
        burst_size: Some(9),
        requests_per_minute: Some(60),
        tokens_per_minute: Some(1_000),
        max_concurrent: Some(3),
        limit: Some(100),
        period_seconds: Some(3_600),
    };
    let limits = written.limits(Some(budget)).unwrap();
    let quotas: Vec<_> = limits.requests.iter().map(|it| (it.limit(), it.period().as_secs(), it.burst())).collect();
    assert_eq!(quotas, [(5, 1, 9), (60, 60, 60), (100, 3_600, 100)]);
    assert_eq!(limits.tokens, Quota::tokens(1_000, MINUTE));
    assert_eq!((limits.max_concurrent, limits.budget), (Some(3), Some(budget)));
    assert!(!limits.is_unlimited() && !limits.is_blocked());
}

#[test]
fn what_is_left_out_is_as_documented() {
    assert!(RateLimit::default().limits(None).unwrap().is_unlimited());
    let quota = |written: RateLimit| written.limits(None).unwrap().requests[0];
    let per_second = quota(RateLimit { requests_per_second: Some(5), ..RateLimit::default() });
    assert_eq!(per_second.burst(), 5);
    let short = quota(RateLimit { limit: Some(5), ..RateLimit::default() });
    assert_eq!(short.period(), MINUTE);
}

#[test]
fn zeros_block() {
    let default = RateLimit::default;
    for written in [
        RateLimit { requests_per_second: Some(0), ..default() },
        RateLimit { requests_per_second: Some(5), burst_size: Some(0), ..default() },
        RateLimit { requests_per_second: Some(0), burst_size: Some(5), ..default() },
        RateLimit { requests_per_minute: Some(0), tokens_per_minute: Some(7), ..default() },
        RateLimit { tokens_per_minute: Some(0), ..default() },
        RateLimit { max_concurrent: Some(0), ..default() },
        RateLimit { limit: Some(0), period_seconds: Some(1), ..default() },
    ] {
        assert!(written.limits(None).unwrap().is_blocked(), "{written:?}");
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let default = RateLimit::default;
    let cases = [
        (
            RateLimit { burst_size: Some(5), ..default() },
            "burst_size: is a part of requests_per_second, which is missing",
        ),
        (
            RateLimit { period_seconds: Some(5), ..default() },
            "period_seconds: is the period of limit, which is missing",
        ),
        (RateLimit { limit: Some(5), period_seconds: Some(0), ..default() }, "period_seconds: must be at least 1"),
        (
            RateLimit { requests_per_second: Some(1_000_001), ..default() },
            "requests_per_second: must be at most 1000000; leave it out for no limit",
        ),
        (
            RateLimit { requests_per_second: Some(1), burst_size: Some(1_000_001), ..default() },
            "burst_size: must be at most 1000000; leave it out for no limit",
        ),
        (
            RateLimit { requests_per_minute: Some(60_000_001), ..default() },
            "requests_per_minute: must be at most 60000000; leave it out for no limit",
        ),
        (
            RateLimit { limit: Some(u64::MAX), period_seconds: Some(2), ..default() },
            "limit: must be at most 2000000; leave it out for no limit",
        ),
        (
            RateLimit { tokens_per_minute: Some(1_000_000_000_001), ..default() },
            "tokens_per_minute: must be at most 1000000000000; leave it out for no limit",
        ),
    ];
    for (written, error) in cases {
        assert_eq!(written.limits(None).unwrap_err().to_string(), error);
    }
}

#[test]
fn the_largest_of_everything_is_a_limit() {
    let largest = RateLimit {
        requests_per_second: Some(1_000_000),
        burst_size: Some(1_000_000),
        requests_per_minute: Some(60_000_000),
        tokens_per_minute: Some(1_000_000_000_000),
        max_concurrent: Some(u32::MAX),
        limit: Some(1_125_899_906_842_624),
        period_seconds: Some(u32::MAX),
    };
    assert!(largest.limits(None).is_ok());
}

#[test]
fn shares_are_parts_but_never_nothing() {
    let written = RateLimit {
        requests_per_second: Some(10),
        burst_size: Some(2),
        requests_per_minute: Some(0),
        tokens_per_minute: Some(100),
        max_concurrent: Some(7),
        ..RateLimit::default()
    };
    let budget = Budget { limit: NanoUsd(900), period: BudgetPeriod::Day };
    let limits = written.limits(Some(budget)).unwrap();
    assert_eq!(limits.share(1), limits);
    assert_eq!(limits.share(0), limits);
    let share = limits.share(3);
    let quotas: Vec<_> = share.requests.iter().map(|it| (it.limit(), it.period().as_secs(), it.burst())).collect();
    assert_eq!(quotas, [(3, 1, 1), (0, 60, 0)]);
    assert_eq!(share.tokens, Quota::tokens(33, MINUTE));
    assert_eq!((share.max_concurrent, share.budget), (Some(2), Some(Budget { limit: NanoUsd(300), ..budget })));
    assert_eq!(limits.share(1_000).max_concurrent, Some(1));
    let blocked = Limits { max_concurrent: Some(0), ..Limits::default() };
    assert_eq!(blocked.share(2).max_concurrent, Some(0));
}
